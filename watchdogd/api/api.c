/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* accept4 flags */
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
#define IDLE_SECONDS 10u
#define CONNECTION_MEMORY ((size_t)32 * 1024) /* of one request with its headers */
#define LIST_MAX 100000u

struct mqw_api {
	struct mqw_api_ops ops;
	struct MHD_Daemon *http;
	sd_event_source *io, *timer;
	int fd;
	char *path; /* of the socket that is ours to remove; NULL: not made yet */
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned int status, json_t *body)
{
	struct mqw_buffer text = {0};
	struct MHD_Response *response;
	enum MHD_Result r = MHD_NO;

	if (body)
		mqw_json_add(&text, body);
	json_decref(body);
	mqw_buffer_add_str(&text, "\n");
	response = text.failed
		? NULL
		: MHD_create_response_from_buffer(text.len, text.ptr, MHD_RESPMEM_MUST_COPY);
	if (response) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
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

/* NULL and *ret, or what is wrong with the query. */
static const char *read_query(struct MHD_Connection *c, struct mqw_api_query *ret)
{
	const char *verdict = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "verdict");
	const char *instance = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "instance");
	const char *limit = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "limit");
	struct mqw_slice number = mqw_slice_of(limit);

	*ret = (struct mqw_api_query){.verdict = MQW_VERDICT_COUNT,
		.instance = mqw_slice_of(instance),
		.limit = MQW_API_LIMIT};
	if (verdict && !strcmp(verdict, "any")) {
		ret->verdict = MQW_VERDICT_NONE;
	} else if (verdict) {
		ret->verdict = mqw_verdict_from_name(mqw_slice_of(verdict));
		if (ret->verdict == MQW_VERDICT_COUNT)
			return "verdict: not one of the words";
	}
	if (limit &&
		(!mqw_slice_take_u64(&number, &ret->limit) || number.len || ret->limit < 1 ||
			ret->limit > LIST_MAX))
		return "limit: a number from 1 to 100000";
	return NULL;
}

static enum MHD_Result route(struct mqw_api *a, struct MHD_Connection *c, const char *url)
{
	struct mqw_slice path = mqw_slice_of(url);
	struct mqw_api_query query;
	const char *fault;
	json_t *body;

	if (mqw_slice_eq(path, MQW_LIT("/v1/status")))
		return answer(c, MHD_HTTP_OK, a->ops.status(a->ops.ctx));
	if (!mqw_slice_skip(&path, MQW_LIT("/v1/messages")))
		return refuse(c, MHD_HTTP_NOT_FOUND, "no such path");
	if (path.len == 0) {
		fault = read_query(c, &query);
		return fault ? refuse(c, MHD_HTTP_BAD_REQUEST, fault)
			     : answer(c, MHD_HTTP_OK, a->ops.list(a->ops.ctx, &query));
	}
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

	(void)version;
	(void)upload;
	/* The first call has the headers only; the connection is answered when all has come. */
	if (!*request) {
		*request = &begun;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is known here");
	return route(cls, c, url);
}

static void run(struct mqw_api *a)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(a->http);
	if (MHD_get_timeout(a->http, &ms) == MHD_YES) {
		sd_event_source_set_time_relative(a->timer, (uint64_t)ms * 1000u + 1000u);
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
			event, &a->timer, CLOCK_MONOTONIC, 0, 0, on_timer, a);
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
