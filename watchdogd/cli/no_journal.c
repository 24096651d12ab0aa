/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In place of probes/source/journal.c where mailq-watchdog is linked: what names the journal is run by
 * mailq-watchdog-manage, so that libsystemd need not be loaded for each scan of a file.
 */
#include "probes/source/journal.h"

#include <errno.h>

int mqw_journal_open(const struct mqw_journal_options *options, const struct mqw_source_ops *ops,
	struct mqw_journal **ret)
{
	(void)options, (void)ops, (void)ret;
	return -EOPNOTSUPP;
}

struct mqw_journal *mqw_journal_close(struct mqw_journal *j)
{
	(void)j;
	return NULL;
}

int mqw_journal_next(struct mqw_journal *j, struct mqw_journal_entry *ret)
{
	(void)j, (void)ret;
	return -EOPNOTSUPP;
}
