/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chooses where lives end, runs them two at a time, and counts. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/crash.h"
#include "watchdogd/daemon/engine.h"

#define STARTS_MAX 50
#define PATIENCE 60 /* seconds of true time for one life of the process */
#define SHOWN 20
#define LINES_SHOWN 6

static struct {
	uint64_t seed, points;
	int64_t only;
	bool faults, verbose;
	int kind; /* of calls that fail; CALL_COUNT: all */
	unsigned int jobs;
} option = {.seed = 1, .points = 2200, .only = -1, .jobs = 2, .kind = CALL_COUNT};

/* What one worker has found; in shared memory. */
struct result {
	unsigned long lives, points; /* points: blows of lives that were right */
	unsigned long wrong, kills, helper_kills, failures, starts, unclear, served;
	unsigned long kinds[ROLE_COUNT][CALL_COUNT];
	unsigned int shown;
};

/* Kinds of the daemon's calls in an undisturbed life, in order: where to strike. */
static uint8_t *trace;
static uint64_t trace_len, calls[ROLE_COUNT][CALL_COUNT + 1];

static double true_time(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static void run_daemon(void)
{
	char path[PATH_ROOM];
	sigset_t set;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!option.verbose) {
		fd = open("/dev/null", O_RDWR);
		dup2(fd, 2);
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/watchdog.yaml", dir);
	if (option.verbose) {
		struct mqw_buffer now = {0};

		mqw_time_format(&now, shared->real);
		fprintf(stderr, "-- start %u at %s, after %s\n", shared->starts + 1,
			mqw_buffer_str(&now), shared->struck);
		mqw_buffer_done(&now);
	}
	alarm(PATIENCE);
	role = ROLE_DAEMON;
	outside = false;
	shared->starts++;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (shared->ended)
		raise(SIGTERM);
	fd = mqw_engine_run(path, MQW_FILTER_OFF);
	outside = true;
	_exit(fd);
}

/* Starts the daemon again until it has ended as asked. False when it does not. */
static bool live(struct mqw_buffer *wrong)
{
	int status;
	pid_t pid;

	for (int i = 0; i < STARTS_MAX; i++) {
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			run_daemon();
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->ended)
			return true;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
			mqw_buffer_printf(
				wrong, "the daemon ended by signal %d\n", WTERMSIG(status));
			return false;
		}
		world_wait(shared->real + shared->down);
	}
	mqw_buffer_printf(wrong, "the daemon did not come back in %d starts\n", STARTS_MAX);
	return false;
}

static bool run_life(struct mqw_buffer *wrong)
{
	bool good;

	world_make();
	good = live(wrong);
	if (good)
		good = judge(wrong);
	if (!option.verbose || good)
		world_remove();
	return good;
}

/*
 * A place in an undisturbed life. Half of them are spread over all calls; the others over the kinds
 * of calls, of which some are rare.
 */
static uint64_t choose_place(uint64_t *random)
{
	uint64_t at = random_below(random, trace_len), n = 0;
	int kind = (int)random_below(random, CALL_MALLOC);

	if (random_below(random, 2) == 0 || calls[ROLE_DAEMON][kind] == 0)
		return at;
	n = random_below(random, calls[ROLE_DAEMON][kind]);
	for (at = 0; at + 1 < trace_len; at++)
		if (trace[at] == kind && n-- == 0)
			break;
	return at;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Deaths: some while it comes back from the last one, some of the helper. */
static void plan_deaths(uint64_t *random)
{
	static const int64_t downs[] = {0, 0, MQW_SECOND, 20 * MQW_SECOND, 50 * MQW_SECOND};
	static const int64_t delays[] = {0, 0, 0, 3 * MQW_SECOND, 40 * MQW_SECOND};
	uint64_t places[BLOWS], last = 0;

	for (int i = 0; i < BLOWS; i++)
		places[i] = choose_place(random);
	qsort(places, BLOWS, sizeof(places[0]), compare);
	for (int i = 0; i < BLOWS; i++) {
		struct plan *p = &shared->plans[i];

		/* Of the kind that is at that place, the how-manieth since the last. */
		*p = (struct plan){.role = ROLE_DAEMON,
			.kind = trace[places[i]],
			.blow = (enum blow)(BLOW_KILL_BEFORE + random_below(random, 3))};
		for (uint64_t k = last; k <= places[i]; k++)
			p->at += trace[k] == p->kind;
		last = places[i] + 1;
		if (i > 0 && random_below(random, 4) == 0) {
			p->kind = CALL_COUNT;
			p->at = 1 + random_below(random, 400);
		} else if (random_below(random, 5) == 0) {
			p->role = ROLE_HELPER;
			p->kind = CALL_COUNT;
			p->at = 1 + random_below(random, 60);
		}
	}
	shared->down = downs[random_below(random, 5)];
	shared->helper_delay = delays[random_below(random, 5)];
}

/* Errors that the call may give, by its kind. */
static int error_for(int kind, uint64_t *random)
{
	static const int disk[] = {ENOSPC, EIO, EROFS, EDQUOT}, opening[] = {EMFILE, EIO, ENFILE};

	switch (kind) {
	case CALL_MALLOC:
		return ENOMEM;
	case CALL_SEND:
		return EPIPE;
	case CALL_OPEN:
		return opening[random_below(random, 3)];
	default:
		return disk[random_below(random, 4)];
	}
}

/* Failures, one kind of call after the other; now and then so many in a row, as on a full disk. */
static void plan_failures(uint64_t *random)
{
	static const uint64_t rows[] = {1, 1, 1, 2, 5, 30};

	for (uint64_t i = 0; i < BLOWS; i++) {
		struct plan *p = &shared->plans[i];
		uint64_t count;

		*p = (struct plan){.role = random_below(random, 6) == 0 ? ROLE_HELPER : ROLE_DAEMON,
			.blow = BLOW_FAIL,
			.kind = option.kind < CALL_COUNT ? option.kind
							 : (int)random_below(random, CALL_COUNT),
			.times = rows[random_below(random, 6)]};
		/* When it is out for longer, lines are not followed, and silence proves nothing. */
		if (p->kind == CALL_MALLOC && p->times > 2)
			p->times = 2;
		/* A copy is tried at each look, one a minute; when all of them fail there is none. */
		if ((p->kind == CALL_COPY || p->kind == CALL_MODE) && p->times > 2)
			p->times = 2;
		/* Folders are made at the start alone; the helper makes none. */
		if (calls[p->role][p->kind] == 0 || (p->kind == CALL_MKDIR && i > 0))
			p->kind = CALL_OPEN;
		count = calls[p->role][p->kind];
		p->error = error_for(p->kind, random);
		p->at = 1 + random_below(random, count / BLOWS + 1);
	}
	shared->down = MQW_SECOND;
	shared->helper_delay = 0;
}

static void make_plan(uint64_t number)
{
	uint64_t random = option.seed * 1000003 + number;

	memset(shared->plans, 0, sizeof(shared->plans));
	shared->plan_count = BLOWS;
	if (option.faults)
		plan_failures(&random);
	else
		plan_deaths(&random);
}

/* So many lines of what is wrong as help. */
static void print_wrong(const struct mqw_buffer *wrong)
{
	struct mqw_slice rest = mqw_buffer_slice(wrong), line;
	unsigned int n = 0;

	while (mqw_slice_take_until(&rest, '\n', &line))
		if (n++ < LINES_SHOWN || option.verbose)
			printf("  %.*s\n", (int)line.len, line.ptr);
	if (n > LINES_SHOWN && !option.verbose)
		printf("  and %u more\n", n - LINES_SHOWN);
}

/* A row of failures is one. */
static unsigned long blows(void)
{
	unsigned long n = 0;

	for (int r = 0; r < ROLE_COUNT; r++)
		for (int k = 0; k < CALL_COUNT; k++)
			n += shared->kinds[r][k];
	return n;
}

static void run_numbered(struct result *result, uint64_t number)
{
	struct mqw_buffer wrong = {0};
	bool good;

	make_plan(number);
	good = run_life(&wrong);
	result->lives++;
	result->kills += shared->kills;
	result->helper_kills += shared->helper_kills;
	result->failures += shared->failures;
	result->starts += shared->starts;
	result->unclear += shared->unclear;
	result->served += shared->served;
	for (int r = 0; r < ROLE_COUNT; r++)
		for (int k = 0; k < CALL_COUNT; k++)
			result->kinds[r][k] += shared->kinds[r][k];
	if (good)
		result->points += blows();
	else
		result->wrong++;
	if (!good && result->shown++ < SHOWN) {
		printf("life %llu (%s; down %lld s, helper late by %lld s):\n",
			(unsigned long long)number, shared->struck,
			(long long)(shared->down / MQW_SECOND),
			(long long)(shared->helper_delay / MQW_SECOND));
		print_wrong(&wrong);
	}
	mqw_buffer_done(&wrong);
}

static void work(struct result *result, unsigned int job)
{
	shared = map(sizeof(*shared));
	snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/%u", job);
	for (uint64_t n = job;
		(result->points + result->wrong * BLOWS) * option.jobs < option.points;
		n += option.jobs)
		run_numbered(result, n);
}

/* An undisturbed life. */
static bool rehearse(void)
{
	struct mqw_buffer wrong = {0};
	size_t len = strlen(dir);
	double began = true_time();
	bool good;

	shared = map(sizeof(*shared));
	strcat(dir, "/r");
	good = run_life(&wrong);
	dir[len] = '\0';
	memcpy(calls, shared->calls, sizeof(calls));
	trace_len = shared->trace_len;
	trace = shared->trace;
	printf("undisturbed: %.0f ms; %llu calls of the daemon and %llu of the helper to strike "
	       "at, "
	       "%llu allocations; %u messages put back\n",
		(true_time() - began) * 1000, (unsigned long long)trace_len,
		(unsigned long long)calls[ROLE_HELPER][CALL_COUNT],
		(unsigned long long)calls[ROLE_DAEMON][CALL_MALLOC], shared->again_count);
	if (!good) {
		printf("an undisturbed life is wrong:\n");
		print_wrong(&wrong);
	}
	mqw_buffer_done(&wrong);
	return good;
}

static void run_all(struct result *results)
{
	for (unsigned int i = 0; i < option.jobs; i++) {
		fflush(NULL);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(&results[i], i);
			fflush(NULL);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
}

static void add_result(struct result *all, const struct result *r)
{
	all->lives += r->lives;
	all->points += r->points;
	all->wrong += r->wrong;
	all->kills += r->kills;
	all->helper_kills += r->helper_kills;
	all->failures += r->failures;
	all->starts += r->starts;
	all->unclear += r->unclear;
	all->served += r->served;
	for (int i = 0; i < ROLE_COUNT; i++)
		for (int k = 0; k < CALL_COUNT; k++)
			all->kinds[i][k] += r->kinds[i][k];
}

static int report(const struct result *results, double seconds)
{
	struct result all = {0};

	for (unsigned int i = 0; i < option.jobs; i++)
		add_result(&all, &results[i]);
	for (int r = 0; r < ROLE_COUNT; r++) {
		printf(r == ROLE_DAEMON ? "struck in the daemon:" : "struck in the helper:");
		for (int k = 0; k < CALL_COUNT; k++)
			if (all.kinds[r][k])
				printf(" %s %lu", call_name(k), all.kinds[r][k]);
		printf("\n");
	}
	printf("seed %llu, %lu lives in %.0f s: the daemon was killed %lu times, the helper %lu "
	       "times, "
	       "%lu calls failed; %lu starts, %lu requests to the helper, %lu left to a person\n",
		(unsigned long long)option.seed, all.lives, seconds, all.kills, all.helper_kills,
		all.failures, all.starts, all.served, all.unclear);
	printf("%lu passed, %lu failed\n", all.points, all.wrong);
	return all.wrong || all.points == 0 ? 1 : 0;
}

static int run(void)
{
	struct result *results = map(option.jobs * sizeof(*results));
	double began = true_time();

	script_make(&script, option.seed);
	if (!rehearse()) {
		printf("0 passed, 1 failed\n");
		return 1;
	}
	if (option.only >= 0) {
		option.jobs = 1;
		shared = map(sizeof(*shared));
		strcat(dir, "/o");
		run_numbered(results, (uint64_t)option.only);
	} else {
		run_all(results);
	}
	return report(results, true_time() - began);
}

static const char usage[] = "usage: crash [--seed N] [--points N] [--faults [--kind CALL]] [--jobs "
			    "N] [--only LIFE] [--verbose]\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"points", required_argument, NULL, 'p'}, {"faults", no_argument, NULL, 'f'},
		{"jobs", required_argument, NULL, 'j'}, {"only", required_argument, NULL, 'o'},
		{"kind", required_argument, NULL, 'k'}, {"verbose", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0}};
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's':
			option.seed = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			option.points = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			option.jobs = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'o':
			option.only = strtoll(optarg, NULL, 10);
			break;
		case 'f':
			option.faults = true;
			break;
		case 'k':
			for (option.kind = 0; option.kind < CALL_COUNT; option.kind++)
				if (strcmp(optarg, call_name(option.kind)) == 0)
					break;
			break;
		case 'v':
			option.verbose = true;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	snprintf(dir, sizeof(dir), "/dev/shm/mqw-crash-XXXXXX");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("JOURNAL_STREAM");
	r = run();
	rmdir(dir);
	return r;
}
