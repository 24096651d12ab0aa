/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random lives of a log: lines, rotations of all kinds, compression, truncation, late sizes, and a
 * reader that is killed and goes on from the position it kept last. Files are real, time is not.
 * The oracle knows each line: it has to come once and in order, or to have been written within a
 * gap that was told; and where nothing was lost there is no gap. A seed makes one life:
 * MQW_SEED=12345 runs that one, MQW_SCHEDULES=20000 that many.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule_writer_fixture.h"

#define STEPS 60

static void live_a_step(void)
{
	unsigned int dice = rnd(100);

	w.now += 20000 + (rnd(4) ? 0 : rnd(8)) * MQW_SECOND;
	if (dice < 30)
		write_lines();
	else if (dice < 55)
		turn();
	else if (dice < 63)
		kill_reader();
	else if (dice < 71)
		compress_one();
	else if (dice < 75)
		late_bytes();
	else if (dice < 78)
		old_size();
	else if (dice < 80 && w.kind <= KIND_DELETE)
		put_back();
	else if (dice < 83 && (w.kind == KIND_EMPTY || w.kind == KIND_COPY_EMPTY))
		empty();
	else if (w.kind >= KIND_COPY)
		rotate_by_copy();
	else
		rotate_by_rename();
}

static void check_all_came(void)
{
	for (size_t n = 0; n < w.lines; n++) {
		bool told = w.seen.given[n];

		for (size_t g = 0; !told && g < w.seen.gaps; g++)
			told = w.seen.gap[g].from <= w.written[n] &&
				w.written[n] <= w.seen.gap[g].to;
		if (!told)
			note("line %zu was written at %lld ms\n", n + 1,
				(long long)(w.written[n] - w.born) / 1000);
		check(told, "line %zu of %zu is missing without a gap", n + 1, w.lines);
	}
}

/* True when nothing may have been lost. */
static bool live(unsigned int seed)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", w.dir);
	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "%s", dir);
	snprintf(w.path, sizeof(w.path), "%s/mail.log", dir);
	w.seed = seed;
	w.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	w.kind = rnd(KIND_COUNT);
	w.dated = rnd(2);
	w.keep = w.kind == KIND_RENAME || rnd(2) ? FILES_MAX : 1 + rnd(3);
	w.now = w.born = mqw_clock_now();
	w.loud = getenv("MQW_SEED");
	w.position = strdup("");
	w.fd = -1;
	w.files[w.count++] = (struct file){.name = "mail.log"};
	reopen();
	open_reader();
	look(1);
	put(w.half, make_line(w.half));
	w.half[0] = '\0';
	look(1000);
	keep();
	for (int i = 0; i < STEPS; i++)
		live_a_step();
	/* In the end the log goes on, and somebody reads it for long enough. */
	if (w.half[0])
		write_rest();
	reopen();
	w.half[0] = '\0';
	put(w.half, make_line(w.half));
	w.half[0] = '\0';
	if (!w.open)
		open_reader();
	for (int i = 0; i < 100; i++) {
		while (look(1000))
			;
		w.now += MQW_SECOND;
	}
	check_all_came();
	check(w.seen.given[w.lines - 1], "the last line is missing");
	mqw_follower_done(&w.follower);
	close(w.fd);
	clear_dir();
	free(w.position);
	return !w.lossy;
}

static void test_schedules(void **state)
{
	const char *one = getenv("MQW_SEED"), *many = getenv("MQW_SCHEDULES");
	unsigned int count = many ? (unsigned int)atoi(many) : 1000, whole = 0;
	int64_t began = mqw_clock_now();

	(void)state;
	if (one) {
		live((unsigned int)atoi(one));
		return;
	}
	for (unsigned int seed = 0; seed < count; seed++)
		whole += live(seed);
	print_message("%u schedules, %u of them without loss, in %lld ms\n", count, whole,
		(long long)(mqw_clock_now() - began) / 1000);
	assert_true(whole > count / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules)};
	int r;

	/* Nothing of this has to reach a disk. */
	snprintf(w.dir, sizeof(w.dir), "%s/mqw-schedule-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(w.dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (r == 0)
		rmdir(w.dir);
	return r;
}
