/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The running daemon: configuration, ledger, instances and actions in one event loop. */
#ifndef MQW_DAEMON_ENGINE_H
#define MQW_DAEMON_ENGINE_H

#include "watchdogd/base/syscalls.h"

/*
 * Runs until SIGTERM or SIGINT, confined by the filter once it has started. Returns the exit status: 0 ended as asked, 1 could not start or go
 * on, 2 the configuration is faulty; each has been said.
 */
int mqw_engine_run(const char *config_path, enum mqw_filter filter);

#endif
