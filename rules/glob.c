/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rules/rule.h"

static char fold(char c, bool ignore_case)
{
	return ignore_case && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool mqw_glob_match(struct mqw_slice pattern, struct mqw_slice text, bool ignore_case)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			resume = t;
		} else if (p < pattern.len &&
			(pattern.ptr[p] == '?' ||
				fold(pattern.ptr[p], ignore_case) ==
					fold(text.ptr[t], ignore_case))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			/* Only the last star can need more: what earlier ones took fits. */
			p = star + 1;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

/* Offset of the last "@", or s.len. */
static size_t last_at(struct mqw_slice s)
{
	for (size_t i = s.len; i > 0; i--)
		if (s.ptr[i - 1] == '@')
			return i - 1;
	return s.len;
}

bool mqw_glob_match_address(struct mqw_slice pattern, struct mqw_slice address)
{
	size_t p = last_at(pattern), a = last_at(address);

	if (mqw_slice_eq(pattern, MQW_LIT("<>")))
		return address.len == 0;
	if (p == pattern.len || a == address.len)
		return mqw_glob_match(pattern, address, true);
	return mqw_glob_match(mqw_slice_head(pattern, p), mqw_slice_head(address, a), false) &&
		mqw_glob_match(
			mqw_slice_from(pattern, p + 1), mqw_slice_from(address, a + 1), true);
}

bool mqw_glob_match_relay(struct mqw_slice pattern, struct mqw_slice relay)
{
	size_t host = 0;

	if (mqw_glob_match(pattern, relay, true))
		return true;
	while (host < relay.len && !memchr("[(:", relay.ptr[host], 3))
		host++;
	return host > 0 && mqw_glob_match(pattern, mqw_slice_head(relay, host), true);
}
