/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "watchdogd/base/buffer.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)

static size_t on_data(char *data, size_t size, size_t count, void *userdata)
{
	struct mqw_buffer *b = userdata;
	size_t n = size * count; /* size is 1 by libcurl's contract */

	if (n > ANSWER_MAX - b->len)
		return 0;
	mqw_buffer_add(b, mqw_slice(data, n));
	return b->failed ? 0 : n;
}

static void say_unreachable(const char *socket, const char *why)
{
	if (access(socket, F_OK) < 0 && errno == ENOENT)
		fprintf(stderr,
			"mailq-watchdog: the daemon is not running (no socket %s); start it with "
			"`systemctl start mailq-watchdogd`\n",
			socket);
	else if (access(socket, R_OK | W_OK) < 0 && errno == EACCES)
		fprintf(stderr,
			"mailq-watchdog: permission denied on %s: run as root or as a member of "
			"group mailq-watchdog\n",
			socket);
	else
		fprintf(stderr, "mailq-watchdog: the daemon at %s does not answer: %s\n", socket,
			why);
}

static CURLcode fetch(const char *socket, const char *path, struct mqw_buffer *ret)
{
	struct mqw_buffer url = {0};
	CURL *curl = curl_easy_init();
	CURLcode code = CURLE_FAILED_INIT;

	mqw_buffer_printf(&url, "http://localhost%s", path);
	if (curl && !url.failed) {
		curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret);
		code = curl_easy_perform(curl);
	}
	curl_easy_cleanup(curl);
	mqw_buffer_done(&url);
	return code;
}

json_t *mqw_client_get(const char *socket, const char *path)
{
	struct mqw_buffer body = {0};
	struct mqw_buffer shown = {0};
	CURLcode code = fetch(socket, path, &body);
	json_t *answer = NULL;
	const char *error;

	if (code != CURLE_OK) {
		say_unreachable(socket, curl_easy_strerror(code));
	} else {
		answer = json_loadb(mqw_buffer_str(&body), body.len, 0, NULL);
		error = json_string_value(json_object_get(answer, "error"));
		if (!answer || error) {
			mqw_buffer_add_printable(
				&shown, mqw_slice_of(error ? error : "its answer is no JSON"));
			fprintf(stderr, "mailq-watchdog: %s\n", mqw_buffer_str(&shown));
			json_decref(answer);
			answer = NULL;
		}
	}
	mqw_buffer_done(&shown);
	mqw_buffer_done(&body);
	return answer;
}
