/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A million open messages in the ledger: how long the start takes that reads them back, how much
 * memory they need then, and how long the loop stands still while a batch of changed ones is kept.
 *
 * Usage: ledger [MESSAGES [CHANGED [DIRECTORY]]]; CHANGED 0: the start alone. Prints figures; with the default numbers it fails
 * when a bound is broken. Bounds on time are on CPU time, so that a busy machine breaks none.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/daemon/totals.h"
#include "watchdogd/ledger/ledger.h"

#define MESSAGES 1000000
#define CHANGED 1000 /* as many as the daemon puts into one batch */
#define BATCHES 40
#define START_MAX 5.0 /* seconds */
#define MEMORY_MAX 400.0 /* MiB */
#define COMMIT_MAX 100.0 /* ms */

static char path[4096];
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* VmRSS, VmHWM in MiB. */
static double memory(const char *what)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kib = strtoul(line + strlen(what) + 1, NULL, 10);
	if (f)
		fclose(f);
	return (double)kib / 1024;
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(2);
}

/* Queue ids as Postfix makes long ones: they come in no order that an index would like. */
static const char *id_of(uint64_t n, char id[static 24])
{
	snprintf(id, 24, "4%012" PRIX64 "z%03X", (n * UINT64_C(0x9e3779b97f4a7c15)) >> 16,
		(unsigned)(n & 0xfff));
	return id;
}

static void deferral(struct mqw_tracker *t, uint64_t n, int64_t time)
{
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, time);
	char id[24], to[96], reply[256];

	snprintf(to, sizeof(to), "user%" PRIu64 "@dest%" PRIu64 ".example", n, n % 5000);
	snprintf(reply, sizeof(reply),
		"host mx%" PRIu64 ".example[192.0.2.1] said: 451 4.7.1 <%s>: Recipient address "
		"rejected: Greylisted (in reply to RCPT TO command)",
		n % 100, to);
	e.queue_id = mqw_slice_of(id_of(n, id));
	e.instance = MQW_LIT("outbound");
	e.recipient = mqw_slice_of(to);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.code = 451;
	e.status = MQW_LIT("4.7.1");
	e.relay = MQW_LIT("mx.example[192.0.2.1]:25");
	e.reply = mqw_slice_of(reply);
	e.evidence.line = n;
	must(mqw_tracker_event(t, &e), "event");
}

static void message(struct mqw_tracker *t, uint64_t n, int64_t time)
{
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, time);
	char id[24], text[64];

	e.queue_id = mqw_slice_of(id_of(n, id));
	e.instance = MQW_LIT("outbound");
	must(mqw_tracker_event(t, &e), "event");
	e.kind = MQW_EVENT_MESSAGE_ID;
	snprintf(text, sizeof(text), "20261130.%" PRIu64 "@mail.example.com", n);
	e.message_id = mqw_slice_of(text);
	must(mqw_tracker_event(t, &e), "event");
	e.kind = MQW_EVENT_QUEUED;
	snprintf(text, sizeof(text), "sender%" PRIu64 "@example.com", n % 1000);
	e.sender = mqw_slice_of(text);
	e.count = 1;
	must(mqw_tracker_event(t, &e), "event");
	deferral(t, n, time);
}

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)m, (void)r, (void)j, (void)previous;
}

static struct mqw_tracker *new_tracker(void)
{
	const struct mqw_tracker_ops ops = {.verdict = on_verdict};
	struct mqw_tracker_options options = mqw_tracker_defaults();
	struct mqw_tracker *t;

	options.seed = 1;
	options.max_messages = 2000000;
	t = mqw_tracker_create(&options, &ops, true);
	must(t ? 0 : -12, "tracker");
	return t;
}

static struct mqw_totals totals;

/* What the daemon does with a batch. */
static void keep(struct mqw_ledger *l, struct mqw_tracker *t, const char *position)
{
	struct mqw_message *m;

	must(mqw_ledger_begin(l), "begin");
	while ((m = mqw_tracker_take_dirty(t)))
		must(mqw_ledger_put_message(l, "outbound", m), "put");
	must(mqw_totals_put(&totals, l, "outbound", t), "totals");
	must(mqw_ledger_put_position(l, "outbound", "/var/log/mail.log", mqw_slice_of(position)),
		"position");
	must(mqw_ledger_commit(l), "commit");
}

static int64_t base;

static int fill(uint64_t messages)
{
	struct mqw_ledger *l;
	struct mqw_tracker *t = new_tracker();

	must(mqw_ledger_open(path, &l, NULL), "open");
	for (uint64_t n = 0; n < messages; n++) {
		message(t, n, base + (int64_t)n * 1000);
		if (n % 5000 == 4999)
			keep(l, t, "filling");
	}
	/* As after hours of tries: what was changed last is nowhere near what was opened last. */
	for (uint64_t n = 0; n < messages / 5; n++) {
		deferral(t, next_random() % messages, base + MQW_HOUR + (int64_t)n);
		if (n % CHANGED == CHANGED - 1)
			keep(l, t, "filling");
	}
	keep(l, t, "filled");
	mqw_ledger_close(l);
	return 0;
}

static int restore_one(void *ctx, const struct mqw_message *m)
{
	return mqw_tracker_restore(ctx, m);
}

static int report(const char *what, double value, const char *unit, double bound, bool held)
{
	bool broken = held && value > bound;

	printf("%-44s %9.1f %-4s", what, value, unit);
	if (bound > 0)
		printf(" bound %.0f%s", bound, broken ? "  BROKEN" : "");
	printf("\n");
	return broken;
}

static int measure_batches(
	struct mqw_ledger *l, struct mqw_tracker *t, uint64_t messages, uint64_t changed, bool held)
{
	double worst = 0, worst_cpu = 0, sum = 0;
	struct stat st;
	char wal[sizeof(path) + 8];

	for (int b = 0; b < BATCHES; b++) {
		double wall, cpu;

		for (uint64_t n = 0; n < changed; n++)
			deferral(t, next_random() % messages,
				base + 2 * MQW_HOUR + b * MQW_SECOND + (int64_t)n);
		wall = seconds(CLOCK_MONOTONIC);
		/* The loop stands still for what this thread does. */
		cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
		keep(l, t, "batch");
		wall = (seconds(CLOCK_MONOTONIC) - wall) * 1e3;
		cpu = (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e3;
		worst = wall > worst ? wall : worst;
		worst_cpu = cpu > worst_cpu ? cpu : worst_cpu;
		sum += cpu;
	}
	snprintf(wal, sizeof(wal), "%s-wal", path);
	report("journal beside the ledger", stat(wal, &st) == 0 ? (double)st.st_size / 1048576 : 0,
		"MiB", 0, false);
	report("a batch, CPU, mean", sum / BATCHES, "ms", 0, false);
	report("a batch, elapsed, worst", worst, "ms", COMMIT_MAX, false);
	return report("a batch, CPU, worst", worst_cpu, "ms", COMMIT_MAX, held);
}

static int measure(uint64_t messages, uint64_t changed)
{
	bool held = messages == MESSAGES && (changed == CHANGED || !changed);
	struct mqw_tracker *t = new_tracker();
	struct mqw_ledger *l;
	struct stat st;
	double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), opened;
	int broken = 0;

	must(mqw_ledger_open(path, &l, NULL), "open");
	opened = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	must(mqw_totals_load(&totals, l, "outbound", base, t), "totals");
	must(mqw_ledger_each_message(l, "outbound", restore_one, t), "restore");
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	printf("%" PRIu64 " messages came back, batches of %" PRIu64 " changed ones\n",
		mqw_tracker_counts(t)->open, changed);
	if (mqw_tracker_counts(t)->open != messages)
		broken = 1;
	stat(path, &st);
	report("the ledger", (double)st.st_size / 1048576, "MiB", 0, false);
	report("of the start, opening and checking, CPU", opened, "s", 0, false);
	report("start, elapsed", wall, "s", START_MAX, false);
	broken |= report("start, CPU", cpu, "s", START_MAX, held);
	broken |= report("memory then", memory("VmRSS:"), "MiB", MEMORY_MAX, held);
	if (changed)
		broken |= measure_batches(l, t, messages, changed, held);
	broken |= report("memory at the most", memory("VmHWM:"), "MiB", MEMORY_MAX, held);
	mqw_tracker_free(t);
	mqw_ledger_close(l);
	return broken;
}

int main(int argc, char **argv)
{
	uint64_t messages = argc > 1 ? strtoull(argv[1], NULL, 10) : MESSAGES;
	uint64_t changed = argc > 2 ? strtoull(argv[2], NULL, 10) : CHANGED;
	char dir[sizeof(path) - 16];
	int status = 0, fd;
	pid_t child;

	snprintf(dir, sizeof(dir), "%s/mqw-bench-XXXXXX", argc > 3 ? argv[3] : "/var/tmp");
	if (!mkdtemp(dir) || !messages)
		return 2;
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	base = mqw_clock_now() - MQW_DAY;
	/* In a process of its own, whose memory does not count. */
	child = fork();
	if (child == 0)
		_exit(fill(messages));
	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		return 2;
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	status = measure(messages, changed);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ledger.db-wal", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ledger.db-shm", dir);
	unlink(path);
	rmdir(dir);
	return status;
}
