/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the mail entries of the systemd journal: to the end, for a scan, or followed in an event
 * loop. Besides what programs say of themselves an entry has the fields that journald vouches for,
 * by which an MTA's own lines are told from forged ones (see systemd.journal-fields(7)).
 *
 * Taken are the entries of the syslog facility mail, and journald's confessions that it dropped
 * some ("Suppressed 312 messages from postfix@-.service").
 */
#ifndef MQW_PROBES_SOURCE_JOURNAL_H
#define MQW_PROBES_SOURCE_JOURNAL_H

#include "probes/source/source.h"
#include "watchdogd/base/buffer.h"

struct sd_event;
struct mqw_journal;

/* Fields that an entry lacks are empty. Slices live until the next entry is read. */
struct mqw_journal_entry {
	int64_t time; /* when it was sent; where that is not known, when journald had it */
	uint32_t pid; /* SYSLOG_PID, else _PID; 0 unknown */
	bool cut; /* message was longer than MQW_LINE_MAX: this is its beginning */
	/* Of a damaged entry libsystemd leaves out the fields that it cannot read, without a word. */
	bool no_message;
	struct mqw_slice host;
	struct mqw_slice identifier; /* SYSLOG_IDENTIFIER: what the sender calls itself */
	struct mqw_slice message; /* may hold any byte, newlines too */
	struct mqw_slice unit, uid, exe, comm; /* _SYSTEMD_UNIT and so on: what journald saw */
};

/* Where to begin without a stored position. */
enum mqw_journal_start {
	MQW_JOURNAL_START_OLDEST,
	MQW_JOURNAL_START_BOOT, /* of the boot that runs now */
	MQW_JOURNAL_START_TAIL, /* only what is new */
};

#define MQW_JOURNAL_MAIL 2 /* LOG_MAIL as a number, RFC 5424 section 6.2.1 */

struct mqw_journal_options {
	const char *directory; /* of journal files; NULL: this host's own journal */
	const char *position; /* as mqw_journal_position() gave it; NULL or "": none */
	enum mqw_journal_start start;
	int facility; /* MQW_JOURNAL_MAIL, or another that the MTA is set to log to (0 to 23) */
};

/*
 * 0, -ENOMEM, -EINVAL for options that make no sense, or what libsystemd says. ops are copied;
 * gap, say and number are used also without a loop. A stored position that the journal no longer
 * holds is a gap, and reading goes on with the oldest entry behind it.
 */
int mqw_journal_open(const struct mqw_journal_options *options, const struct mqw_source_ops *ops,
	struct mqw_journal **ret);

/* NULL is taken. Returns NULL. */
struct mqw_journal *mqw_journal_close(struct mqw_journal *j);

/*
 * The next entry: 1, 0 when there is none (yet), or -errno. One that cannot be read is a gap. Not
 * once it is attached to a loop.
 */
int mqw_journal_next(struct mqw_journal *j, struct mqw_journal_entry *ret);

/* Follows it from now on: entries come through ops. The loop must outlive it. 0 or -errno. */
int mqw_journal_attach(struct mqw_journal *j, struct sd_event *loop);

/*
 * Whether it has more to read at once, attached to a loop. *ret_work grows with every entry that is
 * read: when it is busy and that stands still, it gets nowhere.
 */
bool mqw_journal_busy(const struct mqw_journal *j, uint64_t *ret_work);

/*
 * Adds the position behind the last entry given, for the ledger; adds nothing while there is none.
 * Entries behind it come again when it is given to mqw_journal_open(). 0 or -ENOMEM.
 */
int mqw_journal_position(struct mqw_journal *j, struct mqw_buffer *ret);

/* The time that is in a position, MQW_TIME_NONE when it is none. */
int64_t mqw_journal_position_time(struct mqw_slice position);

/*
 * The fields of one entry as journald gives them, "NAME=value" each, gathered into one buffer that
 * is kept from entry to entry. Apart from the journal so that it can be tested without one.
 */
enum mqw_journal_field {
	MQW_JOURNAL_FIELD_HOST,
	MQW_JOURNAL_FIELD_IDENTIFIER,
	MQW_JOURNAL_FIELD_MESSAGE,
	MQW_JOURNAL_FIELD_UNIT,
	MQW_JOURNAL_FIELD_UID,
	MQW_JOURNAL_FIELD_EXE,
	MQW_JOURNAL_FIELD_COMM,
	MQW_JOURNAL_FIELD_SYSLOG_PID,
	MQW_JOURNAL_FIELD_PID,
	MQW_JOURNAL_FIELD_SENT, /* _SOURCE_REALTIME_TIMESTAMP */
	MQW_JOURNAL_FIELD_COUNT
};

struct mqw_journal_fields {
	struct mqw_buffer text;
	struct {
		size_t at, len;
	} field[MQW_JOURNAL_FIELD_COUNT];
	unsigned int seen; /* bit by enum mqw_journal_field: the first of a name counts */
	bool cut;
};

void mqw_journal_fields_clear(struct mqw_journal_fields *f);
void mqw_journal_fields_add(struct mqw_journal_fields *f, struct mqw_slice field);
/*
 * received: journald's own time of the entry. True when memory sufficed. Slices point into
 * f.
 */
bool mqw_journal_fields_entry(
	const struct mqw_journal_fields *f, int64_t received, struct mqw_journal_entry *ret);

#endif
