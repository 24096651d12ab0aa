/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of an instance, and by nothing else. */
#ifndef MQW_DAEMON_INSTANCE_INTERNAL_H
#define MQW_DAEMON_INSTANCE_INTERNAL_H

#include "probes/source/file_tail.h"
#include "probes/source/journal.h"
#include "probes/source/share_tail.h"
#include "probes/syslog/header.h"
#include "probes/syslog/loss.h"
#include "watchdogd/act/remote.h"
#include "watchdogd/daemon/instance.h"
#include "watchdogd/daemon/mailroot.h"
#include "watchdogd/daemon/queue_watch.h"
#include "watchdogd/daemon/totals.h"

/*
 * Names of log files. When there were more, as of hourly logs in weeks, a new one takes the place of
 * the one that was named the longest ago.
 */
#define MQW_INSTANCE_SOURCES 2048

#define MQW_INSTANCE_LOGS MQW_CONFIG_LOGS_MAX

/* One of the logs that an instance reads. */
struct mqw_instance_log {
	struct mqw_instance *instance;
	const char *name; /* as it is configured; the ledger keeps its place by it */
	struct mqw_file_tail *tail; /* one of these three, once it is open */
	struct mqw_journal *journal;
	struct mqw_share_tail *share;
	bool caught_up; /* read to its end at least once */
	bool paused; /* until the others have come as far */
	bool said_waiting; /* that nothing is judged before it has been read to its end */
	int64_t time; /* the newest stamp of its lines; MQW_TIME_NONE none yet */
	int64_t given_at; /* when it gave something last, or was free to, by the clock */
};

struct mqw_instance {
	struct mqw_act_instance act; /* name, probe, tracker, vault, caught_up */
	const struct mqw_instance_config *config;
	struct mqw_instance_host host;
	struct mqw_probe *probe;
	struct mqw_sink sink;
	struct mqw_loss_reader loss;
	int64_t kept_dropping; /* what the ledger has of it */
	struct mqw_syslog_reader syslog; /* of what has no number */
	struct mqw_syslog_reader *readers[MQW_INSTANCE_SOURCES]; /* of each; NULL not yet */
	struct mqw_instance_log logs[MQW_INSTANCE_LOGS];
	size_t log_count, log_open; /* the first so many are open */
	struct mqw_buffer shown; /* their names */
	struct mqw_buffer credentials; /* path, for shares */
	const char *reader[4]; /* of shares, and its arguments */
	struct mqw_remote remote; /* where act.remote points to, if it does */
	const char *services[2]; /* of remote, where the configuration names one */
	struct mqw_queue_watch *queue;
	struct mqw_mailroot *mailroot; /* in the place of queue where no log names the files */
	int64_t retry_max; /* as the tracker has it */
	int64_t under_way_at; /* when what is under way was looked for last */
	int64_t tried_at; /* the last try of all that the log told of; MQW_TIME_NONE none yet */
	char *queue_root; /* NULL: not known, the log alone is watched */
	char *log_name; /* what its lines are told by; NULL: nothing */
	const char **others; /* the names of the other instances, NULL-terminated; NULL none */
	char *names[MQW_INSTANCE_SOURCES];
	uint8_t servers[MQW_INSTANCE_SOURCES]; /* whose each is: see servers.c */
	char server
		[64]; /* whose logs are followed: its host name in small letters; "" not known yet */
	bool said_servers;
	uint32_t name_count, name_next; /* which are there; which is taken next */
	uint64_t lines, unparsed; /* of this process */
	struct mqw_totals totals;
	int64_t last_line;
	int64_t covered; /* how far the log has come, by its own stamps, never in the future */
	bool history; /* first start ever: what the log holds from before is only said */
	uint32_t
		awaited; /* the first rescan of the queue that was begun after the log had been read */
	bool scanned; /* that one, or a later one, is over: all files are known to the tracker */
	bool adopted; /* and those are looked for that should be there */
	bool expect_again; /* memory was out for some of them */
	bool said_no_copy; /* since a copy was made last */
	bool said_dropped, said_ignored; /* that there are more than are followed */
	bool said_older; /* that copies are kept from before the ledger was begun */
	bool moved; /* lines were read since the position was kept */
	uint64_t *forgotten; /* numbers of messages that the ledger has to forget, until it has */
	size_t forgotten_count, forgotten_cap;
	bool forgotten_missed; /* memory was out: the ledger keeps what the tracker does not have */
	int64_t lost_from; /* of lines that memory was out for, not yet a gap; NONE none */
	bool orphans; /* a copy could not be removed */
	int64_t swept_at; /* when those of no message were looked for */
	int64_t vault_tried_at; /* when it was opened last, in vain */
	bool telling; /* the tracker is not held any more */
	int64_t caught_up_at;
	uint64_t work; /* of the log, at the last look at it */
	unsigned int idle_looks; /* in a row that found it busy and no further */
};

/* intake.c: lines and queue changes into the tracker. */
extern const struct mqw_source_ops mqw_instance_source_ops; /* ctx is to be set */
int mqw_instance_emit(void *ctx, const struct mqw_event *e);
bool mqw_instance_present(void *ctx, struct mqw_slice queue_id, enum mqw_place place,
	const char *path, const struct stat *st);
bool mqw_instance_matters(void *ctx, struct mqw_slice queue_id);
bool mqw_instance_gone(void *ctx, struct mqw_slice queue_id, enum mqw_place place, int64_t since);
/* Looks for messages that were in the queue once and were not met there; after the first scan. */
void mqw_instance_expect(struct mqw_instance *i);
void mqw_instance_scanned(void *ctx, uint32_t number);
/* Lines that could not be followed for want of memory become a gap, as soon as there is some. */
void mqw_instance_note_lost(struct mqw_instance *i);

/* queue_files.c: what is in the files of a message; path is below the queue's root. */
/* A waiting message that no line has named: it came before the log begins. */
void mqw_instance_adopt(
	struct mqw_instance *i, struct mqw_slice id, const char *path, const struct stat *st);
/*
 * Whom the journal names is delivered to, and if the MTA dies before its lines, none will ever say
 * so: it counts him as done when it goes on. It may write addresses in small letters. A line
 * that comes tells the rest.
 */
void mqw_instance_take_journal(
	struct mqw_instance *i, const struct mqw_message *m, const char *path);

/*
 * instance_logs.c. _open() opens all: 0 or a negative errno, which has been said. _pace() lets none run
 * ahead of the others while they are read for the first time, since one adds to what another tells: to
 * be called when a log has come further, and now and then.
 */
int mqw_instance_logs_open(struct mqw_instance *i);
void mqw_instance_logs_pace(struct mqw_instance *i);
/* Says, once each, which logs have given nothing for long, so that nothing is judged at all yet. */
void mqw_instance_logs_complain(struct mqw_instance *i, int64_t now);
void mqw_instance_logs_close(struct mqw_instance *i);
/* Puts their positions into the batch. */
int mqw_instance_logs_keep(struct mqw_instance *i);
/* As mqw_file_tail_busy(), of all of them. */
bool mqw_instance_logs_busy(const struct mqw_instance *i, uint64_t *ret_work);
/* Until when all that was logged is known: now, unless a share is out of reach. */
int64_t mqw_instance_logs_known(const struct mqw_instance *i, int64_t now);

/*
 * servers.c: whether a line is in a log of another server than the one that is followed, which is the
 * first that was ever seen. Their messages are each their own, and ids and answers would be mixed up.
 */
bool mqw_instance_is_of_other_server(
	struct mqw_instance *i, const struct mqw_line *line, uint32_t source);

/* keep.c: to the ledger and back. */
/* Takes back what the ledger kept: gaps, messages. 0 or a negative errno. */
int mqw_instance_restore(struct mqw_instance *i);
/* What waits for its first end for longer than a minute is kept too, where a probe can take it up again. */
void mqw_instance_keep_under_way(struct mqw_instance *i, int64_t now);
/* Tells the ledger with the next batch that this message is followed no more. */
void mqw_instance_forget_kept(struct mqw_instance *i, uint64_t number);

/* findings.c: verdicts out of the tracker. */
void mqw_instance_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous);
void mqw_instance_gap(void *ctx, const struct mqw_event *gap);
void mqw_instance_forget(void *ctx, const struct mqw_message *m);
/* Log and queue have been read: says and hands on what was found on the way and still holds. */
void mqw_instance_tell(struct mqw_instance *i);

#endif
