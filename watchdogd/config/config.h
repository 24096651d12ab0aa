/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration as the program uses it: typed, complete with defaults, checked. One generation
 * lives in one arena and is swapped whole at reload. Rules are kept as the YAML tree and turned
 * into rules by rules/load.c, one layer up.
 */
#ifndef MQW_CONFIG_CONFIG_H
#define MQW_CONFIG_CONFIG_H

#include "watchdogd/base/arena.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/base/diag.h"

struct mqw_yaml_node;

#define MQW_CONFIG_PATH "/etc/mailq-watchdog/watchdog.yaml"
#define MQW_CONTROL_SOCKET "/run/mailq-watchdog/control.sock"
#define MQW_HELPER_SOCKET "/run/mailq-watchdog/helper.sock"
#define MQW_STATE_DIRECTORY "/var/lib/mailq-watchdog"

enum mqw_mode { MQW_MODE_OBSERVE, MQW_MODE_ACT };
enum mqw_keep { MQW_KEEP_NONE, MQW_KEEP_DEFERRED, MQW_KEEP_ALL };

struct mqw_instance_config {
	const char *name; /* unique; letters, digits, - and _ */
	const char *type; /* a probe's name; that it exists is checked by the daemon's loader */
	const char *log; /* "journal", a path or a glob; NULL: the MTA's usual place */
	const char *queue; /* NULL: asked from the MTA */
	const char *config_dir; /* of the MTA; NULL: its default */
	const char *service; /* unit that `restart` restarts; NULL: the MTA's default */
	const char *const *restart_command; /* argument vector instead of a unit; NULL none */
	const char *const *next_hops; /* NULL-terminated; relays whose hand-off is followed */
	size_t next_hop_count;
	int64_t lifetime; /* 0: asked from the MTA */
	int64_t min_lifetime; /* default 4h */
	int64_t slack; /* default 2h */
	size_t line, column; /* where it stands in the file */
};

struct mqw_alert_config {
	const char *name;
	bool journal; /* the one channel of this version */
	size_t line, column;
};

struct mqw_config {
	struct mqw_arena arena;
	const char *path; /* of the file it came from */
	enum mqw_mode mode;
	struct mqw_instance_config *instances;
	size_t instance_count;
	struct {
		enum mqw_keep keep;
		uint64_t size; /* bytes */
		int64_t age;
	} vault;
	struct mqw_alert_config *alerts;
	size_t alert_count;
	const char *state_directory; /* default MQW_STATE_DIRECTORY */
	const char *control_socket, *helper_socket;
	const struct mqw_yaml_node *rules; /* NULL: none; lives in the arena */
};

/*
 * Reads and checks a file. On success *ret is a new configuration for mqw_config_free(). On
 * failure returns a negative errno (-EINVAL for faults in the content) with every fault in
 * reterr, each with file, line and column.
 */
int mqw_config_load(const char *path, struct mqw_config **ret, struct mqw_diag *reterr);

/* The same from memory; path is used in messages only. */
int mqw_config_parse(
	struct mqw_slice text, const char *path, struct mqw_config **ret, struct mqw_diag *reterr);

struct mqw_config *mqw_config_free(struct mqw_config *c);

/* The instance of that name, or NULL. */
const struct mqw_instance_config *mqw_config_instance(
	const struct mqw_config *c, struct mqw_slice name);

#endif
