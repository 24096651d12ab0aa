/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is read of Sendmail's configuration, for the files that act on it. */
#ifndef MQW_PROBES_SENDMAIL_SETTINGS_INTERNAL_H
#define MQW_PROBES_SENDMAIL_SETTINGS_INTERNAL_H

#include "probes/sendmail/sendmail.h"

/* Messages have lifetimes by the Priority: or Precedence: of their header. */
enum mqw_sendmail_class {
	MQW_SENDMAIL_NORMAL,
	MQW_SENDMAIL_URGENT,
	MQW_SENDMAIL_NON_URGENT,
	MQW_SENDMAIL_DSN, /* reports that Sendmail made itself */
	MQW_SENDMAIL_CLASSES
};

struct mqw_sendmail_settings {
	int64_t lifetime[MQW_SENDMAIL_CLASSES]; /* 0: not said */
	int64_t queue_interval; /* 0: not said */
	char *queue_directory; /* owned, as are the next; NULL: not said */
	char *wildcard; /* for the names of the directories below it that are queues */
	char *pid_file;
	int pid; /* of the daemon, by its pid file, which outlives it; 0: none */
};

/*
 * Reads CONFIG_DIR/sendmail.cf (NULL: /etc/mail) and the daemon's command line. 0, or a negative
 * errno when the file could not be read; that there is no daemon is no error.
 */
int mqw_sendmail_settings_read(const char *config_dir, struct mqw_sendmail_settings *ret);
void mqw_sendmail_settings_done(struct mqw_sendmail_settings *s);

/* The parts, for tests; each adds to ret. 0 or -ENOMEM. */
int mqw_sendmail_read_cf(struct mqw_slice text, struct mqw_sendmail_settings *ret);
int mqw_sendmail_read_command_line(struct mqw_slice line, struct mqw_sendmail_settings *ret);

#endif
