/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the engine, and by nothing else. */
#ifndef MQW_DAEMON_ENGINE_INTERNAL_H
#define MQW_DAEMON_ENGINE_INTERNAL_H

#include "watchdogd/base/syscalls.h"
#include "watchdogd/daemon/instance.h"
#include "watchdogd/daemon/progress.h"
#include "watchdogd/daemon/vault_limits.h"

struct mqw_api;

struct mqw_engine {
	const char *config_path;
	struct mqw_config *config; /* of the start: instances point into it */
	struct mqw_config *rules_config; /* of the last reload, NULL before: rules point into it */
	struct mqw_rules *rules;
	enum mqw_mode mode;
	sd_event *event;
	sd_event_source *keep_more; /* on while more is to be kept than one batch takes */
	struct mqw_dirwatch *dirwatch;
	struct mqw_ledger *ledger;
	struct mqw_act *act;
	struct mqw_instance **instances;
	size_t instance_count;
	struct mqw_vault_limits limits;
	struct mqw_api *api;
	int64_t started;
	uint64_t ticks;
	int polling; /* as mqw_dirwatch_polling() said, and was said on */
	bool ledger_failed;
	bool config_faulty; /* of the last reload: the one before is in force */
	bool stuck; /* said that a log gets nowhere */
	bool runs_programs; /* not taken away at the start */
	struct mqw_progress progress;
};

/*
 * windows.c: keeps what the rules count, before the findings that they counted are kept as reported:
 * what comes in between comes again, and counts once. 0 or a negative errno, with nothing kept.
 */
int mqw_engine_keep_windows(struct mqw_engine *e);
/* At the start. A failure has been said: the rules then count from none. */
void mqw_engine_restore_windows(struct mqw_engine *e);

/*
 * ledger_file.c: opens the ledger; one that is damaged, or is none, is set aside and begun anew. On
 * a full or read-only disk, or with a ledger that is locked, it waits. 0; -ECANCELED when the daemon
 * was asked to end meanwhile; or a negative errno, said.
 */
int mqw_engine_open_ledger(struct mqw_engine *e);

/* view.c: what the daemon shows of itself over its socket. 0 or a negative errno, said. */
int mqw_engine_open_api(struct mqw_engine *e);
void mqw_engine_close_api(struct mqw_engine *e);

#endif
