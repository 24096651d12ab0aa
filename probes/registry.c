/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/probe.h"

#include <stdlib.h>

#include "probes/postfix/postfix.h"

const struct mqw_probe_ops *const mqw_probes[] = {&mqw_probe_postfix, NULL};

const struct mqw_probe_ops *mqw_probe_find(struct mqw_slice name)
{
	for (size_t i = 0; mqw_probes[i]; i++)
		if (mqw_slice_eq(name, mqw_slice_of(mqw_probes[i]->name)))
			return mqw_probes[i];
	return NULL;
}

void mqw_queue_file_done(struct mqw_queue_file *f)
{
	for (size_t i = 0; i < f->recipient_count; i++)
		free(f->recipients[i].address);
	free(f->recipients);
	free(f->sender);
	free(f->message_id);
	*f = (struct mqw_queue_file){0};
}
