/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services of a Windows host, by `net rpc service` of Samba. Its exit status says nothing: a stop that
 * does not stop ends with 0, and asks for the state thirty times within half a second. So its words
 * are read, and the state is asked for until it is what it should be. All of it blocks: for a process
 * of its own.
 */
#ifndef MQW_ACT_NET_SERVICE_H
#define MQW_ACT_NET_SERVICE_H

#include "watchdogd/base/buffer.h"
#include "watchdogd/helper/wire.h"

enum mqw_service_state {
	MQW_SERVICE_UNKNOWN,
	MQW_SERVICE_STOPPED,
	MQW_SERVICE_START_PENDING,
	MQW_SERVICE_STOP_PENDING,
	MQW_SERVICE_RUNNING,
	MQW_SERVICE_CONTINUE_PENDING,
	MQW_SERVICE_PAUSE_PENDING,
	MQW_SERVICE_PAUSED,
	MQW_SERVICE_STATE_COUNT
};

/* What one call of net came to. */
struct mqw_net_answer {
	enum mqw_service_state state; /* that it told last; UNKNOWN: none */
	bool started; /* "Successfully started service" */
	bool missing; /* the host has no such service */
	bool unsure; /* why is that no answer came: it may have been done nevertheless */
	char why[200]; /* why it failed, as a sentence for a person; "" it did not */
};

/*
 * Reads what net printed on both of its outputs about a service. r is what mqw_process_run() said,
 * -ETIMEDOUT after so many microseconds of limit.
 */
void mqw_net_answer_parse(struct mqw_slice out, struct mqw_slice err, int r, int64_t limit,
	struct mqw_net_answer *ret);

/* "running", "stop pending" and the like, as net says them. */
const char *mqw_service_state_name(enum mqw_service_state s);

/* How net is called and how time passes. */
struct mqw_net_ops {
	/* verb: "status", "stop", "start" */
	void (*call)(void *ctx, const char *verb, const char *service, struct mqw_net_answer *ret);
	int64_t (*now)(void *ctx); /* of a clock that only goes on */
	void (*sleep)(void *ctx, int64_t span);
	void *ctx;
};

struct mqw_net_target {
	const char *host;
	const char *const *services; /* the first of these that the host has; NULL-terminated */
};

/*
 * Stops the service, waits until it is stopped, and starts it. A service that was stopped before is
 * left alone (REFUSED): nobody's failure stopped it. What was stopped is started again for two
 * minutes, come what may. OK: it was restarted, and runs; the text says how long it took.
 */
enum mqw_helper_status mqw_net_restart(
	const struct mqw_net_target *t, const struct mqw_net_ops *ops, struct mqw_buffer *ret_text);

/*
 * After a restart of which nobody knows how far it came: starts the service if it is stopped. OK: it
 * was stopped, and runs now. ALREADY: it runs.
 */
enum mqw_helper_status mqw_net_finish(
	const struct mqw_net_target *t, const struct mqw_net_ops *ops, struct mqw_buffer *ret_text);

/* The most that either of them takes, in microseconds. */
#define MQW_NET_LIMIT ((int64_t)420 * 1000000)
/* Of one call, after which net is killed: a server that is frozen would hold it for 20 s and more. */
#define MQW_NET_CALL_LIMIT ((int64_t)30 * 1000000)

#endif
