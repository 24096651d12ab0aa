/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subcommands of mailq-watchdog. Each takes its own argument vector, argv[0] being its name,
 * and returns the exit status: 0 good, 1 trouble found, 2 usage or an input could not be read.
 */
#ifndef MQW_CLI_COMMANDS_H
#define MQW_CLI_COMMANDS_H

int mqw_cli_scan(int argc, char **argv);
int mqw_cli_trace(int argc, char **argv);
int mqw_cli_status(int argc, char **argv);
int mqw_cli_list(int argc, char **argv);
int mqw_cli_show(int argc, char **argv);
/* `vault list|show|export`: argv[0] is that word. */
int mqw_cli_vault(int argc, char **argv);
/* recover, requeue, restart and ack: argv[0] is which. */
int mqw_cli_act(int argc, char **argv);
/* `alert test NAME`: argv[0] is "test". */
int mqw_cli_alert_test(int argc, char **argv);
/* `config check [FILE]`: argv[0] is "check". */
int mqw_cli_config_check(int argc, char **argv);

#endif
