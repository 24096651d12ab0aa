/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/bundle.h"

#include <errno.h>

#define MAGIC "mqw-bundle"

void mqw_bundle_add_head(struct mqw_buffer *b, const uint64_t *lengths, size_t count)
{
	mqw_buffer_add_str(b, MAGIC);
	for (size_t i = 0; i < count; i++)
		mqw_buffer_printf(b, " %llu", (unsigned long long)lengths[i]);
	mqw_buffer_add_str(b, "\n");
}

int mqw_bundle_split(struct mqw_slice content, struct mqw_slice ret[MQW_BUNDLE_MAX])
{
	uint64_t lengths[MQW_BUNDLE_MAX];
	struct mqw_slice head;
	int count = 0;

	if (!mqw_slice_take_until(&content, '\n', &head) || !mqw_slice_skip(&head, MQW_LIT(MAGIC)))
		return -EBADMSG;
	while (head.len) {
		if (count == MQW_BUNDLE_MAX || !mqw_slice_skip(&head, MQW_LIT(" ")) ||
			!mqw_slice_take_u64(&head, &lengths[count++]))
			return -EBADMSG;
	}
	for (int i = 0; i < count; i++) {
		if (lengths[i] > content.len)
			return -EBADMSG;
		ret[i] = mqw_slice_head(content, (size_t)lengths[i]);
		content = mqw_slice_from(content, (size_t)lengths[i]);
	}
	return count && content.len == 0 ? count : -EBADMSG;
}
