/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/share_url.h"

#define SCHEME MQW_LIT("smb://")
#define HOST_MAX 253
#define URL_MAX 2000
#define NAME_MAX_LEN 255
#define ALLOWED "smb://HOST/SHARE/FOLDER/PATTERN without user name, password and port"

bool mqw_share_url_is(struct mqw_slice text)
{
	return mqw_slice_starts(text, SCHEME);
}

bool mqw_share_url_is_host(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			c != '_' && !(i > 0 && (c == '.' || c == '-')))
			return false;
	}
	return s.len >= 1 && s.len <= HOST_MAX;
}

static bool is_path(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		/* What Windows has in no name, and what would end the path within a URL. */
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ||
			strchr("\\:|<>\"", s.ptr[i]))
			return false;
	return true;
}

const char *mqw_share_url_parse(struct mqw_slice text, struct mqw_share_url *ret)
{
	struct mqw_slice rest = text;
	size_t end, share;

	if (!mqw_slice_skip(&rest, SCHEME) || text.len > URL_MAX || !is_path(rest))
		return ALLOWED;
	end = mqw_slice_chr(rest, '/');
	ret->host = mqw_slice_head(rest, end);
	rest = mqw_slice_from(rest, end + 1);
	share = mqw_slice_chr(rest, '/');
	if (!mqw_share_url_is_host(ret->host) || share == 0)
		return ALLOWED;
	if (share == rest.len)
		return ALLOWED "; behind the name of a share stands at least a /";
	for (end = text.len; text.ptr[end - 1] != '/'; end--)
		;
	ret->folder = mqw_slice_head(text, end);
	ret->name = mqw_slice_from(text, end);
	if (mqw_slice_chr(ret->folder, '*') < end || mqw_slice_chr(ret->folder, '?') < end)
		return ALLOWED "; a pattern only at its end";
	return ret->name.len > NAME_MAX_LEN ? ALLOWED : NULL;
}
