/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The running daemon: configuration, ledger, instances and actions in one event loop. */
#ifndef MQW_DAEMON_ENGINE_H
#define MQW_DAEMON_ENGINE_H

/*
 * Runs until SIGTERM or SIGINT. Returns the exit status: 0 ended as asked, 1 could not start or go
 * on, 2 the configuration is faulty; each has been said.
 */
int mqw_engine_run(const char *config_path);

#endif
