/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "watchdogd/base/buffer.h"

#ifndef ANSWER_MAX /* its test has a smaller one */
#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
#endif

static size_t on_data(char *data, size_t size, size_t count, void *userdata)
{
	struct mqw_buffer *b = userdata;
	size_t n = size * count; /* size is 1 by libcurl's contract */

	if (n > ANSWER_MAX - b->len)
		return 0;
	mqw_buffer_add(b, mqw_slice(data, n));
	return b->failed ? 0 : n;
}

static void say_unreachable(const char *socket, CURLcode code)
{
	int fault = access(socket, R_OK | W_OK) < 0 ? errno : 0;

	if (fault == ENOENT)
		fprintf(stderr, "mailq-watchdog: the daemon is not running (no socket at %s)\n",
			socket);
	else if (fault == EACCES)
		fprintf(stderr,
			"mailq-watchdog: permission denied on %s: run as root or as a member of "
			"group mailq-watchdog\n",
			socket);
	else if (code == CURLE_COULDNT_CONNECT)
		fprintf(stderr,
			"mailq-watchdog: the daemon is not running (nobody answers at %s)\n",
			socket);
	else if (code == CURLE_WRITE_ERROR)
		fprintf(stderr,
			"mailq-watchdog: the answer is too large; --limit makes it smaller\n");
	else
		fprintf(stderr, "mailq-watchdog: the daemon at %s does not answer: %s\n", socket,
			curl_easy_strerror(code));
}

static CURLcode fetch(const char *socket, const char *path, bool post, struct mqw_buffer *ret_body,
	long *ret_status)
{
	struct mqw_buffer url = {0};
	CURL *curl = curl_easy_init();
	CURLcode code = CURLE_FAILED_INIT;

	mqw_buffer_printf(&url, "http://localhost%s", path);
	if (curl && !url.failed) {
		curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		if (post) {
			curl_easy_setopt(curl, CURLOPT_POST, 1L);
			curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
		}
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
		/* An id such as ".." is an id here, no step upward. */
		curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_body);
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	}
	curl_easy_cleanup(curl);
	mqw_buffer_done(&url);
	return code;
}

/* The answer when it is a good one; otherwise NULL after saying what the daemon said. */
static json_t *read_answer(const struct mqw_buffer *body, long status)
{
	struct mqw_buffer shown = {0};
	json_t *answer = json_loadb(mqw_buffer_str(body), body->len, JSON_ALLOW_NUL, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (json_is_object(answer) && !error && status == 200)
		return answer;
	if (error)
		mqw_buffer_add_printable(&shown, mqw_slice_of(error));
	else
		mqw_buffer_printf(
			&shown, "what answers is no mailq-watchdogd (status %ld)", status);
	fprintf(stderr, "mailq-watchdog: %s\n", mqw_buffer_str(&shown));
	mqw_buffer_done(&shown);
	json_decref(answer);
	return NULL;
}

static json_t *ask(const char *socket, const char *path, bool post)
{
	struct mqw_buffer body = {0};
	long status = 0;
	CURLcode code = fetch(socket, path, post, &body, &status);
	json_t *answer = NULL;

	if (code == CURLE_OK)
		answer = read_answer(&body, status);
	else
		say_unreachable(socket, code);
	mqw_buffer_done(&body);
	return answer;
}

json_t *mqw_client_get(const char *socket, const char *path)
{
	return ask(socket, path, false);
}

json_t *mqw_client_post(const char *socket, const char *path)
{
	return ask(socket, path, true);
}

void mqw_client_add_escaped(struct mqw_buffer *b, const char *value)
{
	for (const char *p = value; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			(*p >= 'A' && *p <= 'Z') || strchr("-_.~", *p);

		if (plain)
			mqw_buffer_add(b, mqw_slice(p, 1));
		else
			mqw_buffer_printf(b, "%%%02X", (unsigned char)*p);
	}
}
