/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an MTA's folder offers to the rest. A probe turns bytes and names into events; it owns no
 * file descriptor, reads no clock, allocates nothing for a line, and keeps no line after return.
 * All knowledge of one MTA lives in its folder; the registry is a const table.
 */
#ifndef MQW_PROBES_PROBE_H
#define MQW_PROBES_PROBE_H

#include "watchdogd/base/bundle.h"
#include "watchdogd/track/event.h"
#include "watchdogd/track/tracker.h"

/* One line, its syslog header taken apart. Slices live until the call returns. */
struct mqw_line {
	int64_t time;
	struct mqw_slice host;
	struct mqw_slice tag; /* "postfix/smtp", without pid */
	struct mqw_slice text;
	uint32_t pid; /* 0 unknown */
	uint32_t id_len; /* own_form() found an id of so many bytes in front of text; 0: not so */
	/* How its log's own lines say that it is to be read; NULL where none do. */
	const struct mqw_columns *columns;
	struct mqw_evidence evidence;
};

enum mqw_line_result {
	MQW_LINE_FOREIGN = 0, /* not this MTA's */
	MQW_LINE_DULL, /* this MTA's, known, nothing to follow in it */
	MQW_LINE_USED, /* gave events */
	MQW_LINE_STRANGE, /* this MTA's, form not understood: counted and sampled */
};

/* How well a raw line fits an MTA's own form, see mqw_probe_ops.own_form. */
enum mqw_form {
	MQW_FORM_NONE, /* it does not: perhaps it has a syslog header */
	MQW_FORM_HEAD, /* it says how others are to be read, or nothing: no line of its own */
	MQW_FORM_POSSIBLE, /* it does, as lines of other programs may */
	/* It does, and only another MTA whose logs this one's belong to may be meant. */
	MQW_FORM_LIKELY,
	MQW_FORM_CERTAIN, /* no other program writes such a line */
};

/* A name in a queue directory, relative to the queue's root: "deferred/9/99464ACEAF2". */
struct mqw_queue_name {
	struct mqw_slice queue_id;
	enum mqw_place place;
};

/* What a message's file is called: these words around its queue id. */
struct mqw_queue_file_form {
	const char *prefix, *suffix;
};

/* What a queue file says about its message. Strings are owned by the structure. */
struct mqw_queue_file {
	int64_t arrived_at; /* MQW_TIME_NONE unknown */
	int64_t created_at; /* when its lifetime began; MQW_TIME_NONE unknown */
	char *sender; /* "" the null sender */
	char *message_id; /* NULL unknown */
	char *former_id; /* of the message that it continues, where its id tells; NULL none */
	bool held;
	struct mqw_queue_file_recipient {
		char *address;
		bool done;
		size_t offset; /* of its record in the file, where that matters */
	} * recipients;
	size_t recipient_count;
};

/* Frees what f owns; f itself is the caller's. */
void mqw_queue_file_done(struct mqw_queue_file *f);

/* How an MTA's settings came out of its own mouth. 0 is unknown everywhere. */
struct mqw_mta_settings {
	int64_t lifetime, bounce_lifetime, retry_max;
	char *queue_directory; /* owned; NULL unknown */
	char *log_name; /* owned; what its lines begin their tag with; NULL unknown */
};

/* Frees what s owns and makes all of it unknown; s itself is the caller's. */
void mqw_mta_settings_done(struct mqw_mta_settings *s);

/*
 * How an MTA is made to act. Run as root, by the helper alone, on an id that valid_id() has taken;
 * each may block for seconds. 0, 1 for "had been done already", or a negative errno with one
 * sentence in ret_text (size bytes, always terminated; it may hold a stranger's bytes).
 */
struct mqw_control {
	const char *config_dir; /* of the MTA; NULL: its default */
	const char *queue_directory; /* absolute; required by recover */
};

struct mqw_control_ops {
	/* What recover() does and keeps, and what the message loses by it: a sentence each. */
	const char *recover_how, *recover_loses;
	/* Whether recover() makes a message whole that is in the queue and lost its file; NULL: never. */
	bool (*completes)(const struct mqw_message *m);
	/* Tries one message now. That it is not in the queue need not be noticed. */
	int (*requeue)(
		const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size);
	/* Tries the whole queue now. */
	int (*flush)(const struct mqw_control *c, char *ret_text, size_t size);
	/* 0: whatever delivers is alive. -ESRCH: it is not. */
	int (*healthy)(const struct mqw_control *c, char *ret_text, size_t size);
	/*
	 * Puts the queue file open at file_fd back, for the recipients still to do in it; a bundle
	 * (base/bundle.h) where a message is several files. What is in it is a stranger's: it is read
	 * once, into memory, and checked. 1 when it waits to be taken up already; -EBUSY when the
	 * message is in the queue.
	 */
	int (*recover)(const struct mqw_control *c, const char *queue_id, int file_fd,
		char *ret_text, size_t size);
};

struct mqw_columns; /* probes/windows/columns.h */
struct mqw_syslog_reader; /* probes/syslog/header.h */
struct mqw_probe; /* state of one probe: whatever it has to remember between two lines */

struct mqw_probe_ops {
	const char *name; /* "postfix": the word of --mta and type: */
	const char *default_log; /* where it logs when nothing else is said */
	const char *default_unit; /* systemd unit that `restart` restarts */
	/*
	 * Windows services that `restart` restarts where the MTA runs on such a host, NULL-terminated:
	 * the first that the host has. NULL: it runs on none.
	 */
	const char *const *windows_services;
	/* What to try when that has freed nothing: one sentence; NULL: nothing is known. */
	const char *restart_advice;
	int64_t default_lifetime;
	int64_t default_retry_max;
	bool removal_unlogged, answers_alone; /* see struct mqw_tracker_options */

	/* NULL when memory is out. next_hops: relays besides this host whose "queued as" is believed. */
	struct mqw_probe *(*create)(const char *const *next_hops, size_t next_hop_count);
	struct mqw_probe *(*free)(struct mqw_probe *p);
	/*
	 * Takes up a message that was under way when the daemon ended, as the ledger kept it, before any
	 * line is given: what line() would remember of it. NULL: it remembers no messages.
	 */
	void (*resume)(struct mqw_probe *p, const struct mqw_message *m);
	/* Hot path. Emits events; a negative errno from the sink ends up as the return value. */
	int (*line)(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
	/*
	 * Takes a line apart that the MTA wrote itself, without a syslog header: fills time, tag, text
	 * and pid of *ret, host is empty. Hot path. stamps is the log's reader of stamps, with what its
	 * file said of its columns. NULL: it logs through syslog alone.
	 */
	enum mqw_form (*own_form)(
		struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret);
	/*
	 * Whether a file of that name, without its folder, is a log of this MTA: for finding them in a
	 * folder and below it. NULL: they have no names of their own.
	 */
	bool (*log_name)(struct mqw_slice name);
	/*
	 * The server that wrote the file that a line is in, by its own name, as far as this line tells;
	 * false when it does not. For logs that hosts write into a common folder. NULL: none tells.
	 */
	bool (*server)(const struct mqw_line *line, struct mqw_slice *ret);
	/* Whether a line is this MTA's, by its tag alone: for recognising the MTA of a log. */
	bool (*is_mine)(struct mqw_slice tag);

	/*
	 * Directories of the queue that hold messages, relative to its root, NULL-terminated: patterns
	 * of source/places.h.
	 */
	const char *const *queue_directories;
	/*
	 * Takes a name below the queue's root apart; false when it is no message's file. Where a
	 * message is several files, only the one with its envelope counts here.
	 */
	bool (*queue_name)(struct mqw_slice relative_path, struct mqw_queue_name *ret);
	/* How that file is called, for looking for one; ends with prefix NULL. NULL: the id itself. */
	const struct mqw_queue_file_form *queue_file_forms;
	/*
	 * The path of the message's n-th further file, n from 0, made out of that of the one with the
	 * envelope, into ret (size bytes, terminated). False: there is no n-th, or no room. All of
	 * them have to be there, or the message cannot be delivered. NULL: a message is one file.
	 */
	bool (*companion)(struct mqw_slice path, size_t n, char *ret, size_t size);
	/* There is one further file, and companion() gives the places where it may be. */
	bool companion_places;
	/* No line of the log has the names of these files: each is a message of its own. */
	bool files_unlogged;
	/*
	 * The number of the further file that names, one a line, recipients that are delivered to and
	 * that the envelope does not say so of yet; it need not be there. 0: there is none such.
	 */
	size_t journal;
	/* Takes the name of that file below the queue's root apart; false when it is none. */
	bool (*journal_name)(struct mqw_slice relative_path, struct mqw_slice *ret_id);
	/* Marks those whom it names as done in the bytes of the envelope. 0, -EBADMSG or -ENOMEM. */
	int (*add_journal)(struct mqw_buffer *file, struct mqw_slice journal);
	/*
	 * Whether a deferred message may lie in a queue of the same MTA that is not the one looked
	 * at, by what its lines say; then that it is not in this one proves nothing. NULL: never.
	 */
	bool (*in_other_queue)(const struct mqw_message *m);
	/* The file's modification time is when the message is to be tried again. */
	bool mtime_is_retry;
	/* Whether a string is a queue id of this MTA; for everything that acts on one. */
	bool (*valid_id)(struct mqw_slice id);
	/* Reads a queue file's bytes. 0, -EBADMSG when it is none, -ENOMEM. */
	int (*queue_file)(struct mqw_slice content, struct mqw_queue_file *ret);
	/*
	 * Adds the mail itself, header and body, each line ended by "\n", out of the message's files:
	 * the one with the envelope, then those of companion(). No envelope, no stuffing of dots, no
	 * limit of a line's length; bytes as they are. 0, -EBADMSG or -ENOMEM; then what was added
	 * is of no use.
	 */
	int (*mail)(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret);
	/* Permission bits of a finished queue file, which alone is fit for a copy; 0: any. */
	unsigned int complete_mode;
	/*
	 * Marks all recipients of a queue file (of several, the one with the envelope) but those in
	 * keep as done, in its bytes, which may become more or fewer. How many are left to do,
	 * -EBADMSG or -ENOMEM.
	 */
	int (*keep_recipients)(
		struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count);
	/*
	 * Whether an entry of the journal is this instance's own, by what journald vouches for.
	 * service: the instance's unit, NULL where none is configured.
	 */
	bool (*is_genuine)(const char *service, struct mqw_slice unit, struct mqw_slice uid,
		struct mqw_slice exe);
	/* Asks the MTA (runs its commands; may block for seconds). config_dir NULL: default. */
	int (*ask)(const char *config_dir, struct mqw_mta_settings *ret);
	/* NULL, as may be each in it: cannot be told to do that. */
	const struct mqw_control_ops *control;

	void (*remedy)(const struct mqw_message *m, const struct mqw_recipient *r,
		enum mqw_verdict v, struct mqw_buffer *ret);
};

/* All probes, NULL-terminated, in the order in which they are tried. */
extern const struct mqw_probe_ops *const mqw_probes[];

/*
 * Takes a raw log line apart into *ret, but for its evidence: by the MTA's own form or by its
 * syslog header. *mta is NULL while it is not known, and is set by a line that only one MTA writes.
 * While it is not known a likely line has the tag of the MTA that it fits.
 * MQW_FORM_NONE when the line has no stamp that is known; MQW_FORM_HEAD leaves *ret as it is.
 */
enum mqw_form mqw_probe_parse(const struct mqw_probe_ops **mta, struct mqw_syslog_reader *stamps,
	struct mqw_slice raw, struct mqw_line *ret);

/* Whether a line of that form was taken apart: has a stamp, and is not about other lines. */
static inline bool mqw_form_is_line(enum mqw_form form)
{
	return form != MQW_FORM_NONE && form != MQW_FORM_HEAD;
}

/*
 * The path of the message's n-th further file below the directory root, as companion() does; of
 * several places the one where it is, or the first when it is nowhere.
 */
bool mqw_probe_companion(const struct mqw_probe_ops *probe, int root, struct mqw_slice path,
	size_t n, char *ret, size_t size);

/*
 * Whether all further files of the message, but for its journal, are there whose first is at path
 * below the directory root. A look that fails in another way than by ENOENT counts as there.
 */
bool mqw_probe_is_whole(const struct mqw_probe_ops *probe, int root, struct mqw_slice path);

/*
 * The files of a copy, the one with the envelope first: of a bundle (base/bundle.h) where a message
 * is several files, or the one that it is. How many, or -EBADMSG. Borrowed from content.
 */
int mqw_probe_files(const struct mqw_probe_ops *probe, struct mqw_slice content,
	struct mqw_slice ret[MQW_BUNDLE_MAX]);

/*
 * Of these files, of which there are count, the envelope with what its journal says, if there is one:
 * added to ret, which is empty. 0, -EBADMSG or -ENOMEM.
 */
int mqw_probe_envelope(const struct mqw_probe_ops *probe, const struct mqw_slice *files,
	size_t count, struct mqw_buffer *ret);

/* The probe of that name, "_" in it as good as "-"; or NULL. */
const struct mqw_probe_ops *mqw_probe_find(struct mqw_slice name);

#endif
