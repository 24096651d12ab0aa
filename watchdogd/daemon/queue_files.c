/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What files of the queue say themselves, on its way into the tracker. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "watchdogd/base/fd.h"
#include "watchdogd/daemon/instance_internal.h"

#define QUEUE_FILE_MAX ((off_t)256 * 1024 * 1024)

/* Reads a queue file whole; ENOENT is normal. */
static int read_file(struct mqw_instance *i, const char *path, struct mqw_buffer *ret)
{
	int root = mqw_queue_watch_root(i->queue), fd, r = 0;
	struct stat st;

	fd = root < 0 ? -1 : openat(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > QUEUE_FILE_MAX)
		r = -EFBIG;
	if (r == 0)
		r = mqw_fd_read_all(fd, (size_t)QUEUE_FILE_MAX, ret);
	close(fd);
	return r;
}

static int tell_of_file(struct mqw_instance *i, struct mqw_slice id, const struct mqw_queue_file *f,
	const struct stat *st)
{
	int64_t seen = (int64_t)st->st_ctim.tv_sec * MQW_SECOND;
	int64_t began = f->created_at != MQW_TIME_NONE ? f->created_at
		: f->arrived_at != MQW_TIME_NONE       ? f->arrived_at
						       : seen;
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, began);
	int r;

	e.queue_id = id;
	e.sender = mqw_slice_of(f->sender);
	e.other_id = mqw_slice_of(f->former_id);
	r = mqw_instance_emit(i, &e);
	e.kind = MQW_EVENT_QUEUED;
	e.count = f->recipient_count;
	if (r == 0)
		r = mqw_instance_emit(i, &e);
	if (r == 0 && f->message_id) {
		e.kind = MQW_EVENT_MESSAGE_ID;
		e.message_id = mqw_slice_of(f->message_id);
		r = mqw_instance_emit(i, &e);
	}
	e = mqw_event(MQW_EVENT_ATTEMPT, seen > began ? seen : began);
	e.queue_id = id;
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.reply = MQW_LIT("deferred before the log that is read begins");
	for (size_t n = 0; r == 0 && n < f->recipient_count; n++) {
		e.recipient = mqw_slice_of(f->recipients[n].address);
		if (!f->recipients[n].done)
			r = mqw_instance_emit(i, &e);
	}
	if (r == 0 && f->held) {
		e = mqw_event(MQW_EVENT_HELD, e.time);
		e.queue_id = id;
		r = mqw_instance_emit(i, &e);
	}
	return r;
}

/* The message's journal; -ENOENT where there is none, as mostly. */
static int read_journal(struct mqw_instance *i, const char *path, struct mqw_buffer *ret)
{
	const struct mqw_probe_ops *probe = i->act.probe;
	char name[PATH_MAX];

	if (!probe->journal ||
		!probe->companion(mqw_slice_of(path), probe->journal, name, sizeof(name)))
		return -ENOENT;
	return read_file(i, name, ret);
}

void mqw_instance_adopt(
	struct mqw_instance *i, struct mqw_slice id, const char *path, const struct stat *st)
{
	struct mqw_buffer content = {0}, journal = {0};
	struct mqw_queue_file f;
	/* The journal first: what the MTA takes out of it is in the envelope then. */
	int r = read_journal(i, path, &journal);

	if (r == 0 || r == -ENOENT)
		r = read_file(i, path, &content);
	if (r == 0 && journal.len)
		r = i->act.probe->add_journal(&content, mqw_buffer_slice(&journal));
	if (r == 0)
		r = i->act.probe->queue_file(mqw_buffer_slice(&content), &f);
	if (r == 0) {
		tell_of_file(i, id, &f, st);
		mqw_queue_file_done(&f);
	}
	mqw_buffer_done(&content);
	mqw_buffer_done(&journal);
}

void mqw_instance_take_journal(
	struct mqw_instance *i, const struct mqw_message *m, const char *path)
{
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, mqw_clock_now());
	struct mqw_buffer journal = {0};
	struct mqw_slice rest, line;

	if (read_journal(i, path, &journal) == 0) {
		e.queue_id = mqw_slice_of(m->queue_id);
		e.outcome = MQW_OUTCOME_SENT;
		rest = mqw_buffer_slice(&journal);
		while (mqw_slice_take_until(&rest, '\n', &line))
			for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
				e.recipient = mqw_slice_of(r->address);
				/* The line counts the try, if it comes. */
				e.time = r->last_attempt;
				if (r->state == MQW_RECIPIENT_DEFERRED &&
					mqw_slice_eq_nocase(line, e.recipient))
					mqw_instance_emit(i, &e);
			}
	}
	mqw_buffer_done(&journal);
}
