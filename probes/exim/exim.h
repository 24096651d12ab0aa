/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exim: everything that is known about it. Checked against 4.96; what is newer is marked. */
#ifndef MQW_PROBES_EXIM_EXIM_H
#define MQW_PROBES_EXIM_EXIM_H

#include <sys/types.h>

#include "probes/probe.h"

#define MQW_EXIM_ID_MAX 23

extern const struct mqw_probe_ops mqw_probe_exim;

/* id.c: message ids, SECONDS-PID-FRACTION in base 62: 6-6-2 digits up to 4.96, 6-11-4 since. */

/* Length of the id at the front of s; 0 when there is none. What follows is not looked at. */
size_t mqw_exim_id_length(struct mqw_slice s);
bool mqw_exim_valid_id(struct mqw_slice id);
/* When the message of this id was received, in whole seconds. */
int64_t mqw_exim_id_time(struct mqw_slice id);

/*
 * A message that is put back gets an id of its own, which tells the one that it continues: the
 * first digit of the pid, always 0 on Linux (base 62 has pids of four digits), becomes z. Such an
 * id occurs nowhere else. ret has room for an id and a NUL. False for an id that is one already,
 * or whose pid has other digits there (ids of another system, changed by an anonymiser).
 */
bool mqw_exim_recovered_id(struct mqw_slice id, char ret[MQW_EXIM_ID_MAX + 1]);
/* The inverse: false when the id is none that was put back. */
bool mqw_exim_original_id(struct mqw_slice id, char ret[MQW_EXIM_ID_MAX + 1]);

/* Whether the id may be one that was put back: each line asks, and most are not. */
static inline bool mqw_exim_may_be_recovered(struct mqw_slice id)
{
	return id.len > 7 && id.ptr[7] == 'z';
}

/* log.c */
struct mqw_probe *mqw_exim_log_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_exim_log_free(struct mqw_probe *p);
int mqw_exim_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
bool mqw_exim_is_mine(struct mqw_slice tag);
enum mqw_form mqw_exim_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret);

/* queue.c */
extern const char *const mqw_exim_queue_directories[];
extern const struct mqw_queue_file_form mqw_exim_queue_file_forms[];
bool mqw_exim_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret);
bool mqw_exim_companion(struct mqw_slice path, size_t n, char *ret, size_t size);
#define MQW_EXIM_JOURNAL 1 /* ID-J, behind ID-D */
bool mqw_exim_journal_name(struct mqw_slice relative_path, struct mqw_slice *ret_id);
/* Reads the bytes of ID-H. */
int mqw_exim_queue_file(struct mqw_slice content, struct mqw_queue_file *ret);
/* Of ID-H and ID-D, and perhaps ID-J. */
int mqw_exim_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret);
int mqw_exim_keep_recipients(
	struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count);

int mqw_exim_add_journal(struct mqw_buffer *file, struct mqw_slice journal);

/* Whom Exim runs as. */
struct mqw_exim_user {
	uid_t uid;
	gid_t gid;
};

/*
 * Adds the bytes of ID-H to ret as those of another message that arrives now: first line new_id,
 * received at now with no warnings sent, not frozen, submitted by Exim's own user, with only those
 * options that mail needs. How many recipients it has still to do, or -EBADMSG when Exim would not
 * take it, or not as it was read here, -ENOMEM. After an error ret may have a part of it.
 */
int mqw_exim_renew_file(struct mqw_slice content, const char *new_id, int64_t now,
	const struct mqw_exim_user *user, struct mqw_buffer *ret);

/*
 * settings.c: asks exim(8). Of several retry rules the shortest lifetime is told, since a message
 * younger than that was given up too early by any of them. The daemon's user may not be let read
 * the configuration: then the spool directory is the first usual one that is there, and the
 * lifetime is not known. -ENOENT without that, too.
 */
int mqw_exim_ask(const char *config_dir, struct mqw_mta_settings *ret);

/*
 * control.c: requeue is `exim -M`, which also thaws; flush is `exim -qf`, which leaves alone what
 * is frozen, as that is on hold by somebody's will. Both deliver by themselves, with the network
 * and all users' ids, which the helper has not: systemd-run(1) starts them as units of their own.
 */
extern const struct mqw_control_ops mqw_exim_control;

/* remedy.c */
void mqw_exim_remedy(const struct mqw_message *m, const struct mqw_recipient *r, enum mqw_verdict v,
	struct mqw_buffer *ret);

#endif
