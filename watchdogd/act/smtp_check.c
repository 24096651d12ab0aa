/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/smtp_check.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 5000L

struct check {
	void (*done)(void *ctx, bool greets);
	void *ctx;
};

/* Greeting, EHLO, NOOP, QUIT: no mail is sent. */
static int run_child(const char *address)
{
	char url[300];
	CURL *curl;
	CURLcode code;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(url, sizeof(url), "smtp://%s", address);
	curl = curl_easy_init();
	if (!curl)
		return 1;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "NOOP");
	curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, LIMIT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	code = curl_easy_perform(curl);
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? 0 : 1;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct check *c = userdata;
	bool greets = info->si_code == CLD_EXITED && info->si_status == 0;

	sd_event_source_unref(source);
	c->done(c->ctx, greets);
	free(c);
	return 0;
}

int mqw_smtp_check(
	sd_event *loop, const char *address, void (*done)(void *ctx, bool greets), void *ctx)
{
	struct check *c = malloc(sizeof(*c));
	sd_event_source *source = NULL;
	pid_t pid;
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct check){.done = done, .ctx = ctx};
	pid = fork();
	if (pid < 0) {
		free(c);
		return -errno;
	}
	if (pid == 0)
		_exit(run_child(address));
	r = sd_event_add_child(loop, &source, pid, WEXITED, on_child, c);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		free(c);
	}
	return r;
}
