/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct ucred */
#endif
#include "watchdogd/api/api.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "watchdogd/base/json_text.h"

#define CONNECTIONS_MAX 16u
#ifndef IDLE_SECONDS /* its test has a shorter one */
#define IDLE_SECONDS 10u
#endif
#define CONNECTION_MEMORY ((size_t)32 * 1024) /* of one request with its headers */
#define LIST_MAX 100000u
#define PEER_GROUPS_MAX 1024
/* sd-event takes 0 for 250 ms; libmicrohttpd often asks to be called again at once. */
#define TIMER_ACCURACY_US 1000u

struct mqw_api {
	struct mqw_api_ops ops;
	struct MHD_Daemon *http;
	sd_event_source *io, *timer;
	unsigned int connections; /* after the last run */
	int fd;
	char *path; /* of the socket that is ours to remove; NULL: not made yet */
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned int status, json_t *body)
{
	struct mqw_buffer text = {0};
	struct MHD_Response *response;
	enum MHD_Result r = MHD_NO;

	mqw_json_add(&text, body);
	json_decref(body);
	mqw_buffer_add_str(&text, "\n");
	response = text.failed
		? NULL
		: MHD_create_response_from_buffer(text.len, text.ptr, MHD_RESPMEM_MUST_COPY);
	if (response) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
		if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
			MHD_add_response_header(
				response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
		r = MHD_queue_response(c, status, response);
		MHD_destroy_response(response);
	}
	mqw_buffer_done(&text);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned int status, const char *sentence)
{
	return answer(c, status, json_pack("{s:s}", "error", sentence));
}

/* What a query says, parameter by parameter. */
struct reading {
	struct mqw_api_query *query;
	const char *fault; /* the first; NULL: none so far */
	bool verdict, instance, limit; /* seen already */
	struct mqw_api_act *act; /* of a request to act; the query is NULL then */
	bool dry_run;
};

static const char *read_verdict(struct mqw_api_query *q, struct mqw_slice value)
{
	q->verdict = MQW_VERDICT_NONE;
	if (!mqw_slice_eq(value, MQW_LIT("any")))
		q->verdict = mqw_verdict_from_name(value);
	return q->verdict == MQW_VERDICT_COUNT ? "verdict: neither a verdict nor any" : NULL;
}

static const char *read_limit(struct mqw_api_query *q, struct mqw_slice value)
{
	bool good = mqw_slice_take_u64(&value, &q->limit) && value.len == 0 && q->limit >= 1 &&
		q->limit <= LIST_MAX;

	return good ? NULL : "limit: not a number from 1 to 100000";
}

/* False when it was there before. */
static bool first_time(bool *seen)
{
	bool first = !*seen;

	*seen = true;
	return first;
}

static enum MHD_Result on_parameter(
	void *cls, enum MHD_ValueKind kind, const char *key, const char *text)
{
	struct reading *r = cls;
	struct mqw_slice value = mqw_slice_of(text);
	bool first = true;

	(void)kind;
	if (*key == '\0' && !text)
		return MHD_YES; /* "?" and "&&" */
	if (!strcmp(key, "verdict")) {
		first = first_time(&r->verdict);
		r->fault = read_verdict(r->query, value);
	} else if (!strcmp(key, "instance")) {
		first = first_time(&r->instance);
		r->query->instance = value;
		r->fault = text ? NULL : "instance: its name is missing";
	} else if (!strcmp(key, "limit")) {
		first = first_time(&r->limit);
		r->fault = read_limit(r->query, value);
	} else {
		r->fault = "no such parameter; there are verdict, instance and limit";
	}
	if (!first)
		r->fault = "a parameter occurs twice";
	return r->fault ? MHD_NO : MHD_YES;
}

/*
 * NULL and *ret, or what is wrong with the query. Nothing is passed over: of a misspelt parameter
 * the answer would be about something else than was asked, and look like good news.
 */
static const char *read_query(struct MHD_Connection *c, struct mqw_api_query *ret)
{
	struct reading r = {.query = ret};

	*ret = (struct mqw_api_query){.verdict = MQW_VERDICT_COUNT, .limit = MQW_API_LIMIT};
	MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, on_parameter, &r);
	return r.fault;
}

/* Answers with what an operation gave; NULL there is a failure of ours. */
static enum MHD_Result give(struct MHD_Connection *c, json_t *body)
{
	return body ? answer(c, MHD_HTTP_OK, body)
		    : refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
			      "the daemon has no memory for the answer");
}

static enum MHD_Result list(struct mqw_api *a, struct MHD_Connection *c)
{
	struct mqw_api_query query;
	const char *fault = read_query(c, &query);
	json_t *body;

	if (fault)
		return refuse(c, MHD_HTTP_BAD_REQUEST, fault);
	body = a->ops.list(a->ops.ctx, &query);
	if (!body && query.instance.len)
		return refuse(c, MHD_HTTP_BAD_REQUEST, "instance: there is none of this name");
	return give(c, body);
}

static enum MHD_Result on_act_parameter(
	void *cls, enum MHD_ValueKind kind, const char *key, const char *text)
{
	struct reading *r = cls;
	struct mqw_slice value = mqw_slice_of(text);
	bool first = true;

	(void)kind;
	if (!strcmp(key, "dry_run")) {
		first = first_time(&r->dry_run);
		r->act->dry_run = mqw_slice_eq(value, MQW_LIT("1"));
		if (!r->act->dry_run)
			r->fault = "dry_run: not 1";
	} else if (!strcmp(key, "instance")) {
		first = first_time(&r->instance);
		r->act->instance = value;
		r->fault = value.len ? NULL : "instance: its name is missing";
	} else {
		r->fault = "no such parameter; there are dry_run and instance";
	}
	if (!first)
		r->fault = "a parameter occurs twice";
	return r->fault ? MHD_NO : MHD_YES;
}

/* Whether a group is among those of the process at the other end (Linux 4.13). */
static bool is_in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (group == MQW_API_NO_GROUP)
		return false;
	if (peer->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Whether the peer may act; its uid in *ret. */
static bool may_act(const struct mqw_api *a, struct MHD_Connection *c, uid_t *ret)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*ret = peer.uid;
	return peer.uid == 0 || is_in_group(info->connect_fd, &peer, a->ops.operators);
}

/* "/v1/messages/ID/recover" and the like; false when it is no such path. */
static bool read_act(struct mqw_slice path, struct mqw_api_act *ret)
{
	struct mqw_slice *name;

	if (mqw_slice_skip(&path, MQW_LIT("/v1/messages/")))
		name = &ret->queue_id;
	else if (mqw_slice_skip(&path, MQW_LIT("/v1/instances/")))
		name = &ret->instance;
	else
		return false;
	/* An id may hold a slash, a word does not. */
	for (size_t at = path.len; at-- > 0;)
		if (path.ptr[at] == '/') {
			*name = mqw_slice_head(path, at);
			ret->what = mqw_slice_from(path, at + 1);
			return name->len && ret->what.len;
		}
	return false;
}

static enum MHD_Result act(struct mqw_api *a, struct MHD_Connection *c, const char *url)
{
	struct mqw_api_act request = {.dry_run = false};
	struct reading r = {.act = &request};
	const char *fault = NULL;
	json_t *body;

	if (!read_act(mqw_slice_of(url), &request) || !may_act(a, c, &request.uid))
		return refuse(c, MHD_HTTP_FORBIDDEN,
			"to act one has to be root or in the group of operators of the "
			"configuration");
	r.instance = request.instance.len != 0;
	MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, on_act_parameter, &r);
	if (r.fault)
		return refuse(c, MHD_HTTP_BAD_REQUEST, r.fault);
	body = a->ops.act(a->ops.ctx, &request, &fault);
	if (!body && fault)
		return refuse(c, MHD_HTTP_NOT_FOUND, fault);
	return give(c, body);
}

static enum MHD_Result show_action(struct mqw_api *a, struct MHD_Connection *c, struct mqw_slice id)
{
	uint64_t number;
	json_t *body = NULL;

	if (mqw_slice_take_u64(&id, &number) && !id.len && number <= INT64_MAX)
		body = a->ops.action(a->ops.ctx, (int64_t)number);
	return body ? answer(c, MHD_HTTP_OK, body)
		    : refuse(c, MHD_HTTP_NOT_FOUND, "there is no such action");
}

static enum MHD_Result route(struct mqw_api *a, struct MHD_Connection *c, const char *url)
{
	struct mqw_slice path = mqw_slice_of(url);
	json_t *body;

	if (mqw_slice_eq(path, MQW_LIT("/v1/status")))
		return give(c, a->ops.status(a->ops.ctx));
	if (mqw_slice_skip(&path, MQW_LIT("/v1/actions/")))
		return show_action(a, c, path);
	if (!mqw_slice_skip(&path, MQW_LIT("/v1/messages")))
		return refuse(c, MHD_HTTP_NOT_FOUND, "no such path");
	if (path.len == 0)
		return list(a, c);
	if (!mqw_slice_skip(&path, MQW_LIT("/")) || path.len == 0)
		return refuse(c, MHD_HTTP_NOT_FOUND, "no such path");
	body = a->ops.show(a->ops.ctx, path);
	return body ? answer(c, MHD_HTTP_OK, body)
		    : refuse(c, MHD_HTTP_NOT_FOUND, "no message of this queue id is followed");
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request)
{
	static char begun;
	bool post = !strcmp(method, MHD_HTTP_METHOD_POST);
	struct mqw_api_act wanted;

	(void)version;
	(void)upload;
	/* Answered with the headers, so that a body is not waited for. */
	if (post ? !read_act(mqw_slice_of(url), &wanted) : strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is known here");
	/* The first call has the headers only; the connection is answered when all has come. */
	if (!*request) {
		*request = &begun;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	return post ? act(cls, c, url) : route(cls, c, url);
}

/*
 * Whether connections have ended since the last call. At its limit libmicrohttpd takes the listening
 * socket out of the epoll set, and puts it back at the beginning of the next MHD_run() only: without
 * one more run, nothing would ever wake it when all connections ended at once.
 */
static bool connections_fell(struct mqw_api *a)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(a->http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
	unsigned int before = a->connections;

	a->connections = info ? info->num_connections : 0;
	return a->connections < before;
}

static void run(struct mqw_api *a)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	MHD_run(a->http);
	if (connections_fell(a) || MHD_get_timeout(a->http, &ms) == MHD_YES) {
		sd_event_source_set_time_relative(a->timer, (uint64_t)ms * 1000u);
		sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
	} else {
		sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	run(userdata);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	run(userdata);
	return 0;
}

/* Removes a socket that nobody answers on. 0 when the path is free. */
static int clear_path(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, r;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (r != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_at(struct mqw_api *a, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int r;

	if (n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, n);
	r = clear_path(&address);
	if (r < 0)
		return r;
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0)
		return -errno;
	/* The mode at birth: nobody else gets in between bind and chmod. */
	if (fchmod(a->fd, 0660) < 0 ||
		bind(a->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	a->path = mqw_slice_dup(mqw_slice_of(path));
	if (!a->path)
		return -ENOMEM;
	return chmod(path, 0660) < 0 || listen(a->fd, (int)CONNECTIONS_MAX) < 0 ? -errno : 0;
}

static int start(struct mqw_api *a, sd_event *event)
{
	const union MHD_DaemonInfo *info;
	int r;

	a->http = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, a,
		MHD_OPTION_LISTEN_SOCKET, a->fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_MEMORY, MHD_OPTION_END);
	if (!a->http)
		return -EIO;
	info = MHD_get_daemon_info(a->http, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	r = sd_event_add_io(event, &a->io, info->epoll_fd, EPOLLIN, on_io, a);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &a->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_US, on_timer, a);
	if (r >= 0)
		r = sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

int mqw_api_open(
	sd_event *event, const char *path, const struct mqw_api_ops *ops, struct mqw_api **ret)
{
	struct mqw_api *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->ops = *ops;
	a->fd = -1;
	r = listen_at(a, path);
	if (r == 0)
		r = start(a, event);
	if (r < 0)
		mqw_api_close(a);
	else
		*ret = a;
	return r;
}

struct mqw_api *mqw_api_close(struct mqw_api *a)
{
	if (!a)
		return NULL;
	sd_event_source_disable_unref(a->io);
	sd_event_source_disable_unref(a->timer);
	if (a->http)
		MHD_stop_daemon(a->http); /* closes the listening socket, too */
	else if (a->fd >= 0)
		close(a->fd);
	if (a->path)
		unlink(a->path);
	free(a->path);
	free(a);
	return NULL;
}
