/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "probes/source/share_tail.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "probes/source/share_frame.h"
#include "watchdogd/base/process.h"
#include "watchdogd/base/share_url.h"

#define LIMIT (45 * MQW_SECOND)
#define PAUSE (4 * MQW_SECOND)
#define PAUSES_MAX 8
#define SAY_AGAIN (10 * MQW_MINUTE)
#define FRAMES_A_TURN 32
#define READER_ARGS_MAX 8
/* What the reader said last is read before its end is looked at. */
#define PRIORITY_END (SD_EVENT_PRIORITY_NORMAL + 1)

struct share_file {
	char *name; /* in the folder; owned; NULL: the place is free */
	struct mqw_share_place place;
	uint32_t source;
	bool numbered; /* source is known */
};

struct mqw_share_tail {
	struct mqw_source_ops ops;
	struct sd_event *loop;
	/* timer: of silence while the reader runs, of its next start while it does not */
	sd_event_source *timer, *io, *end;
	char *url; /* owned */
	struct mqw_share_url parts; /* of url */
	const char *const *reader;
	struct share_file files[MQW_SHARE_FILES_MAX];
	char payload[MQW_SHARE_PAYLOAD_MAX];
	pid_t pid; /* 0: none */
	int fd; /* -1 none */
	int64_t limit, pause, pause_now, heard_at;
	int64_t away_since; /* nothing is known since; MQW_TIME_NONE: it is not away */
	int64_t known, ahead, said_at;
	bool paused;
	char why[256]; /* it is away, as was said then; "" not yet */
};

static int64_t monotonic(const struct mqw_share_tail *t)
{
	uint64_t now = 0;

	sd_event_now(t->loop, CLOCK_MONOTONIC, &now);
	return (int64_t)now;
}

static void say(const struct mqw_share_tail *t, const char *text)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_printable(&b, mqw_slice_of(t->url));
	mqw_buffer_printf(&b, " %s", text);
	if (!b.failed && t->ops.say)
		t->ops.say(t->ops.ctx, mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void set_timer(struct mqw_share_tail *t, int64_t in)
{
	sd_event_source_set_time(t->timer, (uint64_t)(monotonic(t) + in));
	sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

/* Said once; of other reasons in between, as a server shows them that is coming up, one now and then. */
static void is_away(struct mqw_share_tail *t, struct mqw_slice why)
{
	struct mqw_buffer b = {0}, text = {0};

	mqw_buffer_add_printable(&b, why);
	if (t->away_since == MQW_TIME_NONE)
		t->away_since = t->known == MQW_TIME_NONE ? mqw_clock_now() : t->known;
	if ((!t->why[0] || monotonic(t) - t->said_at >= SAY_AGAIN) &&
		strncmp(t->why, mqw_buffer_str(&b), sizeof(t->why) - 1) != 0) {
		snprintf(t->why, sizeof(t->why), "%s", mqw_buffer_str(&b));
		t->said_at = monotonic(t);
		mqw_buffer_printf(&text,
			"cannot be read: %s. It is tried again and again; what is written there "
			"meanwhile is read then, and until then silence proves nothing",
			t->why);
		say(t, mqw_buffer_str(&text));
	}
	mqw_buffer_done(&text);
	mqw_buffer_done(&b);
}

static void is_back(struct mqw_share_tail *t)
{
	struct mqw_buffer text = {0};

	t->pause_now = t->pause;
	if (t->away_since == MQW_TIME_NONE)
		return;
	mqw_buffer_add_str(&text, "is read again, after ");
	mqw_span_format(&text, mqw_clock_now() - t->away_since + MQW_SECOND);
	say(t, mqw_buffer_str(&text));
	mqw_buffer_done(&text);
	t->away_since = MQW_TIME_NONE;
	t->why[0] = '\0';
}

/* It is started again when it has ended. */
static void stop_reader(struct mqw_share_tail *t)
{
	t->io = sd_event_source_disable_unref(t->io);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	if (t->pid > 0)
		kill(-t->pid, SIGKILL);
}

static uint32_t source_of(struct mqw_share_tail *t, struct share_file *f)
{
	struct mqw_buffer name = {0};

	if (f->numbered || !t->ops.number)
		return f->source;
	mqw_buffer_add(&name, t->parts.folder);
	mqw_buffer_add_str(&name, f->name);
	if (!name.failed)
		f->source = t->ops.number(t->ops.ctx, mqw_buffer_str(&name));
	f->numbered = !name.failed;
	mqw_buffer_done(&name);
	return f->source;
}

static void give(struct mqw_share_tail *t, struct share_file *f, struct mqw_slice text, bool cut)
{
	const struct mqw_raw_line line = {.text = mqw_slice_head(text, MQW_LINE_MAX),
		.number = f->place.line,
		.offset = f->place.offset,
		.cut = cut || text.len > MQW_LINE_MAX};
	const struct mqw_evidence evidence = {.source = source_of(t, f), .line = line.number};

	if (t->ops.line)
		t->ops.line(t->ops.ctx, &line, evidence);
}

/* counted: their bytes are taken by it. Of a head they were, long ago. */
static void take_lines(
	struct mqw_share_tail *t, struct share_file *f, struct mqw_slice rest, bool counted)
{
	struct mqw_slice line;

	while (mqw_slice_take_until(&rest, '\n', &line)) {
		size_t whole = line.len + 1;

		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		f->place.line += counted;
		give(t, f, line, false);
		f->place.offset += counted ? whole : 0;
	}
}

static int take_file(
	struct mqw_share_tail *t, const struct mqw_share_frame *frame, struct mqw_slice name)
{
	struct share_file *f = &t->files[frame->number];
	char *copy = mqw_slice_dup(name);

	if (!copy)
		return -ENOMEM;
	free(f->name);
	*f = (struct share_file){.name = copy, .place = frame->place};
	return 0;
}

/* What is about a file whose place is known. */
static int take_part(
	struct mqw_share_tail *t, const struct mqw_share_frame *frame, struct mqw_slice payload)
{
	struct share_file *f = &t->files[frame->number];
	/* Bytes count once, and in their order: what was taken is never taken again. */
	if (!f->name || frame->place.offset != f->place.offset ||
		(f->place.skipping && frame->kind == MQW_SHARE_LINES))
		return -EBADMSG;
	if (frame->kind == MQW_SHARE_FORGET) {
		free(f->name);
		*f = (struct share_file){.name = NULL};
		return 0;
	}
	if (frame->kind == MQW_SHARE_LINES) {
		take_lines(t, f, payload, true);
	} else if (frame->kind == MQW_SHARE_HEAD) {
		take_lines(t, f, payload, false);
	} else if (frame->kind == MQW_SHARE_CUT) {
		f->place.line++;
		give(t, f, payload, true);
		f->place.offset += payload.len;
		f->place.skipping = 1;
	} else {
		f->place.offset += frame->skip;
		f->place.skipping = frame->place.skipping;
	}
	f->place.print = frame->place.print;
	f->place.written = frame->place.written;
	return 0;
}

static void take_pass(struct mqw_share_tail *t, const struct mqw_share_frame *frame)
{
	t->known = mqw_clock_now();
	if (frame->ahead != MQW_TIME_NONE)
		t->ahead = frame->ahead;
	is_back(t);
	if (t->ops.caught_up)
		t->ops.caught_up(t->ops.ctx);
}

static int take_frame(
	struct mqw_share_tail *t, const struct mqw_share_frame *frame, struct mqw_slice payload)
{
	struct mqw_buffer text = {0};
	int r = 0;

	if (frame->kind == MQW_SHARE_GAP || frame->kind == MQW_SHARE_SAY)
		mqw_buffer_add_printable(&text, payload);
	switch (frame->kind) {
	case MQW_SHARE_FILE:
		r = take_file(t, frame, payload);
		break;
	case MQW_SHARE_GAP:
		if (t->ops.gap)
			t->ops.gap(t->ops.ctx, t->known, mqw_clock_now(), mqw_buffer_str(&text));
		break;
	case MQW_SHARE_SAY:
		say(t, mqw_buffer_str(&text));
		break;
	case MQW_SHARE_PASS:
		take_pass(t, frame);
		break;
	case MQW_SHARE_ALIVE:
		break;
	case MQW_SHARE_FAIL:
		is_away(t, payload);
		r = -ECONNRESET;
		break;
	default:
		r = take_part(t, frame, payload);
	}
	mqw_buffer_done(&text);
	return r;
}

static int on_frames(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct mqw_share_tail *t = userdata;
	struct mqw_share_frame frame = {0};
	struct mqw_slice payload;
	int r = 1;

	(void)source;
	(void)events;
	for (int i = 0; i < FRAMES_A_TURN && r > 0 && !t->paused; i++) {
		r = mqw_share_frame_receive(fd, MSG_DONTWAIT, &frame, t->payload, &payload);
		if (r > 0) {
			t->heard_at = monotonic(t);
			r = take_frame(t, &frame, payload);
			r = r == 0 ? 1 : r;
		}
		if (r == -EBADMSG)
			is_away(t, MQW_LIT("the process that reads it sent what makes no sense"));
	}
	if (r <= 0 && r != -EAGAIN)
		stop_reader(t);
	return 0;
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct mqw_share_tail *t = userdata;
	char text[80];

	(void)source;
	t->pid = 0;
	t->end = sd_event_source_disable_unref(t->end);
	stop_reader(t);
	if (t->away_since == MQW_TIME_NONE) {
		snprintf(text, sizeof(text), "the process that reads it ended by %s %d",
			info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
		is_away(t, mqw_slice_of(text));
	}
	set_timer(t, t->pause_now);
	if (t->pause_now < PAUSES_MAX * t->pause)
		t->pause_now *= 2;
	return 0;
}

/* Numbers the files from 0, in the order in which the reader gets them. */
static int places_text(struct mqw_share_tail *t, struct mqw_buffer *ret)
{
	size_t used = 0;

	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++) {
		struct share_file file = t->files[i];

		if (!file.name)
			continue;
		t->files[i].name = NULL;
		t->files[used++] = file;
	}
	return mqw_share_tail_position(t, ret);
}

static int attend(struct mqw_share_tail *t)
{
	int r = sd_event_add_child(t->loop, &t->end, t->pid, WEXITED, on_end, t);

	if (r < 0) { /* nobody would see it end */
		kill(-t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
		t->pid = 0;
		return r;
	}
	sd_event_source_set_priority(t->end, PRIORITY_END);
	if (sd_event_add_io(t->loop, &t->io, t->fd, EPOLLIN, on_frames, t) < 0)
		stop_reader(t); /* on_end() says so and tries again */
	else if (t->paused)
		sd_event_source_set_enabled(t->io, SD_EVENT_OFF);
	return 0;
}

void mqw_share_tail_pause(struct mqw_share_tail *t, bool paused)
{
	t->paused = paused;
	t->heard_at = monotonic(t);
	if (t->io)
		sd_event_source_set_enabled(t->io, paused ? SD_EVENT_OFF : SD_EVENT_ON);
}

static int start_reader(struct mqw_share_tail *t)
{
	const char *argv[READER_ARGS_MAX + 2] = {NULL};
	struct mqw_buffer places = {0};
	int fds[2], r = places_text(t, &places);

	for (size_t i = 0; t->reader[i]; i++) {
		argv[i] = t->reader[i];
		argv[i + 1] = t->url;
	}
	if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		r = -errno;
	if (r != 0) {
		mqw_buffer_done(&places);
		return r;
	}
	r = mqw_process_start(
		argv, mqw_slice(mqw_buffer_str(&places), places.len), fds[1], &t->pid);
	close(fds[1]);
	t->fd = fds[0];
	t->heard_at = monotonic(t);
	if (r == 0)
		r = attend(t);
	else
		t->pid = 0;
	mqw_buffer_done(&places);
	return r;
}

static void start(struct mqw_share_tail *t)
{
	struct mqw_buffer text = {0};
	int r = start_reader(t);

	if (r >= 0) {
		set_timer(t, t->limit);
		return;
	}
	stop_reader(t);
	mqw_buffer_printf(&text, "%s could not be started: %s", t->reader[0], strerror(-r));
	is_away(t, mqw_buffer_slice(&text));
	mqw_buffer_done(&text);
	set_timer(t, PAUSES_MAX * t->pause);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_share_tail *t = userdata;
	struct pollfd heard = {.fd = t->fd, .events = POLLIN};
	int64_t left = t->limit - (monotonic(t) - t->heard_at);
	char text[80];

	(void)source;
	(void)usec;
	if (!t->pid) {
		start(t);
	} else if (left > 0 || poll(&heard, 1, 0) > 0) {
		/* What it sent may wait here because this process was held up. */
		set_timer(t, left > MQW_SECOND ? left : MQW_SECOND);
	} else {
		snprintf(text, sizeof(text), "the server has not answered for %lld s",
			(long long)(t->limit / MQW_SECOND));
		is_away(t, mqw_slice_of(text));
		stop_reader(t);
	}
	return 0;
}

/* The places that a position has; false when it is none. */
static bool load_places(struct mqw_share_tail *t, struct mqw_slice text)
{
	struct mqw_share_place place;
	struct mqw_slice name;
	bool any = text.len == 0;
	int64_t known;

	for (size_t n = 0;
		n < MQW_SHARE_FILES_MAX && mqw_share_place_take(&text, &name, &place, &known);
		n++) {
		any = true;
		t->files[n].name = mqw_slice_dup(name);
		t->files[n].place = place;
		t->known = known ? known : MQW_TIME_NONE;
	}
	return any;
}

int mqw_share_tail_open(const struct mqw_share_tail_options *options,
	const struct mqw_source_ops *ops, struct sd_event *loop, struct mqw_share_tail **ret)
{
	struct mqw_share_tail *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	t->ops = *ops;
	t->loop = loop;
	t->fd = -1;
	t->reader = options->reader;
	t->known = t->away_since = MQW_TIME_NONE;
	t->limit = options->limit ? options->limit : LIMIT;
	t->pause = t->pause_now = options->pause ? options->pause : PAUSE;
	t->url = mqw_slice_dup(mqw_slice_of(options->url));
	if (!t->url)
		r = -ENOMEM;
	else if (mqw_share_url_parse(mqw_slice_of(t->url), &t->parts) ||
		!load_places(t, mqw_slice_of(options->position)))
		r = -EINVAL;
	if (r == 0)
		r = sd_event_add_time(loop, &t->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, t);
	if (r < 0)
		mqw_share_tail_close(t);
	else
		*ret = t;
	return r < 0 ? r : 0;
}

struct mqw_share_tail *mqw_share_tail_close(struct mqw_share_tail *t)
{
	if (!t)
		return NULL;
	t->end = sd_event_source_disable_unref(t->end);
	stop_reader(t);
	if (t->pid > 0)
		waitpid(t->pid, NULL, 0);
	sd_event_source_disable_unref(t->timer);
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		free(t->files[i].name);
	free(t->url);
	free(t);
	return NULL;
}

int64_t mqw_share_tail_known(const struct mqw_share_tail *t)
{
	return t->known;
}

int64_t mqw_share_tail_ahead(const struct mqw_share_tail *t)
{
	return t->ahead;
}

int mqw_share_tail_position(const struct mqw_share_tail *t, struct mqw_buffer *ret)
{
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		if (t->files[i].name)
			mqw_share_place_add(
				ret, mqw_slice_of(t->files[i].name), &t->files[i].place, t->known);
	return ret->failed ? -ENOMEM : 0;
}
