/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/check.h"

#include "probes/probe.h"
#include "watchdogd/base/share_url.h"
#include "watchdogd/config/config.h"
#include "watchdogd/config/faults.h"

void mqw_probes_check(const struct mqw_config *c, struct mqw_faults *f)
{
	struct mqw_buffer known = {0};

	for (size_t i = 0; mqw_probes[i]; i++)
		mqw_buffer_printf(&known, "%s%s", i ? ", " : "", mqw_probes[i]->name);
	for (size_t i = 0; i < c->instance_count; i++) {
		const struct mqw_instance_config *in = &c->instances[i];
		const struct mqw_probe_ops *probe =
			in->type ? mqw_probe_find(mqw_slice_of(in->type)) : NULL;

		if (in->type && !probe)
			mqw_faults_add(f, in->line, in->column,
				"type: %s is no MTA that this version knows; known: %s",
				mqw_show(mqw_slice_of(in->type)).text, mqw_buffer_str(&known));
		if (probe && !probe->default_log && !in->logs)
			mqw_faults_add(f, in->line, in->column,
				"log: %s has no usual place on this host: say where its log is",
				in->type);
		if (probe && !probe->files_unlogged && in->queue &&
			mqw_share_url_is(mqw_slice_of(in->queue)))
			mqw_faults_add(f, in->line, in->column,
				"queue: a folder on a share is of use for exchange and iis-smtp "
				"alone; that of %s is an absolute path",
				in->type);
	}
	mqw_buffer_done(&known);
}
