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
/* Whether a copy in the vault waits for the disk. */
enum mqw_flush { MQW_FLUSH_NEVER, MQW_FLUSH_EACH };

#define MQW_CONFIG_LOGS_MAX 8

struct mqw_instance_config {
	const char *name; /* unique; letters, digits, - and _ */
	const char *type; /* a probe's name; that it exists is checked by the daemon's loader */
	/* Each "journal", a path, a glob or smb://...; NULL-terminated; NULL: the MTA's usual place */
	const char *const *logs;
	size_t log_count;
	const char *queue; /* NULL: asked from the MTA */
	const char *config_dir; /* of the MTA; NULL: its default */
	/* What `restart` restarts: a unit, or a service of the host that is named; NULL: the default */
	const char *service;
	const char *
		host; /* whose service that is: restarted by the daemon; NULL: ours, by the helper */
	/* For host and smb://: a path, or the name of a credential of systemd; NULL none. */
	const char *credentials;
	const char *
		restart_credentials; /* of another user, for host alone; set where credentials is */
	const char *smb_min_protocol; /* by Samba's name; NULL: Samba's own choice */
	const char *const *restart_command; /* argument vector instead of a unit; NULL none */
	const char *const *next_hops; /* NULL-terminated; relays whose hand-off is followed */
	size_t next_hop_count;
	int64_t lifetime; /* 0: asked from the MTA */
	int64_t retry_max; /* longest pause between two tries; 0: asked from the MTA, or its default */
	int64_t min_lifetime; /* default 4h */
	int64_t slack; /* default 2h */
	bool tell_sender; /* of a wrong failure report, when the mail was sent again */
	const char *tell_sender_via; /* "smtp://host:port" */
	size_t line, column; /* where it stands in the file */
};

enum mqw_channel {
	MQW_CHANNEL_JOURNAL, /* and nothing else: the journal gets every alert */
	MQW_CHANNEL_EMAIL,
	MQW_CHANNEL_WEBHOOK,
	MQW_CHANNEL_COMMAND
};

/*
 * required: encrypted, and the certificate is checked. if_offered: encrypted where the relay offers
 * it, unchecked, as mail servers do among each other.
 */
enum mqw_tls { MQW_TLS_REQUIRED, MQW_TLS_IF_OFFERED, MQW_TLS_NONE, MQW_TLS_UNSET };
enum mqw_webhook_format { MQW_WEBHOOK_JSON, MQW_WEBHOOK_ALERTMANAGER };

/* Where alerts of one name go. What is not of its channel is NULL or 0. */
struct mqw_alert_config {
	const char *name;
	bool journal; /* it was written so */
	enum mqw_channel channel;
	const char *const *email; /* addresses, NULL-terminated */
	size_t email_count;
	const char *via; /* "smtp://host:port" or "smtps://..." */
	const char *from; /* header and envelope; NULL: null envelope sender */
	enum mqw_tls tls;
	const char *ca_file; /* PEM; NULL: the CAs of the system */
	const char *user, *password_file; /* NULL: no login */
	const char *webhook; /* "https://..." */
	enum mqw_webhook_format format;
	const char *bearer_file;
	const char *credential; /* of systemd, instead of password_file or bearer_file */
	const char *const *command; /* argument vector */
	int64_t timeout; /* of one try */
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
		enum mqw_flush flush;
	} vault;
	struct mqw_alert_config *alerts;
	size_t alert_count;
	const char *timezone; /* of stamps that have none; NULL: this host's */
	const char *state_directory; /* default MQW_STATE_DIRECTORY */
	const char *control_socket, *helper_socket;
	const char *operators; /* group whose members may act by hand; NULL: root alone */
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

/* The alert of that name, or NULL; "journal" is none of them. */
const struct mqw_alert_config *mqw_config_alert(const struct mqw_config *c, struct mqw_slice name);

/* "journal", "email", "webhook", "command". */
const char *mqw_channel_name(enum mqw_channel channel);

/* The host of the relay or webhook; empty for the other channels. Borrowed from a. */
struct mqw_slice mqw_alert_host(const struct mqw_alert_config *a);
/* Whether that is this very host by its loopback name or address. */
bool mqw_alert_is_loopback(const struct mqw_alert_config *a);

#endif
