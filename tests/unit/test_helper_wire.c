/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reaches the helper is refused unless it is sound. What it then does: test_helper_operations.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "helper_wire_fixture.h"

static void test_refused_fields(void **state)
{
	static const struct {
		uint32_t op;
		const char *instance, *queue_id, *text;
	} rows[] = {
		{0, "", "", "no such operation"},
		{MQW_HELPER_OP_END, "outbound", "", "no such operation"},
		{0xffffffffu, "", "", "no such operation"},
		{MQW_HELPER_REQUEUE, "inbound", "7EA36ACEA90", "no such instance"},
		{MQW_HELPER_RESTART, "ssh.service", "", "no such instance"},
		{MQW_HELPER_RESTART, "../outbound", "", "no such instance"},
		{MQW_HELPER_REQUEUE, "outbound", "../../etc/passwd", "no queue id"},
		{MQW_HELPER_RECOVER, "outbound", "../7EA36ACEA90", "no queue id"},
		{MQW_HELPER_RECOVER, "outbound", "/7EA36ACEA90", "no queue id"},
		{MQW_HELPER_REQUEUE, "outbound", "-i", "no queue id"},
		{MQW_HELPER_REQUEUE, "outbound", "ALL", "no queue id"},
		{MQW_HELPER_REQUEUE, "outbound", "7EA36ACEA90\n", "no queue id"},
		{MQW_HELPER_REQUEUE, "outbound", "", "malformed"},
		{MQW_HELPER_REQUEUE, "", "7EA36ACEA90", "malformed"},
		{MQW_HELPER_FLUSH, "outbound", "7EA36ACEA90", "malformed"},
		{MQW_HELPER_RESTART, "outbound", "7EA36ACEA90", "malformed"},
		{MQW_HELPER_PING, "outbound", "", "malformed"},
		{MQW_HELPER_FLUSH, "foreign", "", "type is not known"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_op(f, rows[i].op, rows[i].instance, rows[i].queue_id, MQW_HELPER_REFUSED,
			rows[i].text);
	expect_serving(f);
}

static void test_refused_frames(void **state)
{
	struct mqw_helper_request good = request(MQW_HELPER_REQUEUE, "outbound", "7EA36ACEA90"), q;
	char bytes[4096] = {0};
	const struct fixture *f = *state;
	struct mqw_helper_answer a;

	q = good;
	q.version++;
	expect(f, &q, MQW_HELPER_REFUSED, "another version");
	q = good;
	q.reserved = 1;
	expect(f, &q, MQW_HELPER_REFUSED, "malformed");
	q = good;
	q.instance[63] = 'x';
	expect(f, &q, MQW_HELPER_REFUSED, "malformed");
	q = good;
	memset(q.queue_id, 'A', sizeof(q.queue_id));
	expect(f, &q, MQW_HELPER_REFUSED, "malformed");
	q = good;
	q.magic++;
	a = ask_bytes(f, &q, sizeof(q), 0);
	assert_string_equal(a.text, "that is no request");
	memcpy(bytes, &good, sizeof(good));
	for (size_t n = 1; n < sizeof(bytes); n = n * 2 + 1) {
		if (n == sizeof(good))
			continue;
		a = ask_bytes(f, bytes, n, 0);
		assert_string_equal(a.text, "that is no request");
	}
	a = ask_bytes(f, bytes, sizeof(good) - 1, 0);
	assert_int_equal(a.status, MQW_HELPER_REFUSED);
	a = ask_bytes(f, bytes, sizeof(good) + 1, 0);
	assert_int_equal(a.status, MQW_HELPER_REFUSED);
	expect_serving(f);
}

static void test_garbage(void **state)
{
	const struct fixture *f = *state;
	uint64_t seed = 0x2545f4914f6cdd1du;

	for (int round = 0; round < 300; round++) {
		struct mqw_helper_request q = request(MQW_HELPER_PING, "", "");
		struct mqw_helper_answer a;
		char *bytes = (char *)&q;
		/* Of half of them only what comes after magic and version. */
		size_t from = round % 2 ? 8 : 0;

		for (size_t i = from; i < sizeof(q); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[i] = (char)(seed >> 24);
		}
		a = ask_bytes(f, &q, sizeof(q), from ? q.op : 0);
		assert_int_equal(a.status, MQW_HELPER_REFUSED);
	}
	expect_serving(f);
}

static void test_slow_peers(void **state)
{
	const struct fixture *f = *state;
	struct mqw_helper_answer a;
	int idle[40];

	/* More than the helper has processes for; each loses its turn. */
	for (size_t i = 0; i < 40; i++)
		idle[i] = connect_to(f);
	expect_serving(f);
	for (size_t i = 0; i < 40; i++)
		close(idle[i]);
	a = ask_bytes(f, NULL, 0, 0);
	assert_int_equal(a.status, MQW_HELPER_REFUSED);
	assert_string_equal(a.text, "no request came: the peer was too slow");
	expect_serving(f);
}

static void test_peers_that_go(void **state)
{
	const struct fixture *f = *state;

	for (int i = 0; i < 300; i++) {
		struct mqw_helper_request q = request(MQW_HELPER_PING, "", "");
		int fd = connect_to(f);

		if (i % 2)
			assert_int_equal(send(fd, &q, sizeof(q), MSG_NOSIGNAL), (ssize_t)sizeof(q));
		close(fd);
	}
	expect_serving(f);
}

/* Refused ones are counted and told in the log; nothing of theirs reaches it raw. */
static void test_log(void **state)
{
	const struct fixture *f = *state;
	struct mqw_helper_request q = request(MQW_HELPER_FLUSH, "x\033[31m", "");
	struct mqw_buffer log = {0};
	char chunk[4096];
	FILE *file;
	size_t n;

	expect(f, &q, MQW_HELPER_REFUSED, "no such instance");
	/* The line follows the answer; this request's comes after it in time. */
	expect_serving(f);
	usleep(200000);
	file = fopen(f->log, "re");
	assert_non_null(file);
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		mqw_buffer_add(&log, mqw_slice(chunk, n));
	fclose(file);
	assert_non_null(
		strstr(mqw_buffer_str(&log), "<4>flush refused, instance x\\x1b[31m, for uid "));
	assert_non_null(strstr(mqw_buffer_str(&log), " refused so far)"));
	assert_non_null(strstr(mqw_buffer_str(&log), "<6>ping ok, for uid "));
	assert_null(strstr(mqw_buffer_str(&log), "\033"));
	mqw_buffer_done(&log);
}

/* Nobody's process asks: run as root only, which can become another user. */
static void test_foreign_user(void **state)
{
	struct fixture *f = *state;
	struct mqw_helper_answer a = {0};
	int status = 0;
	pid_t pid;

	if (getuid() != 0) {
		print_message("not root: skipped\n");
		skip();
	}
	fixture_stop(f);
	fixture_start(f, 23456, SLOW);
	assert_int_equal(chmod(f->directory, 0755), 0);
	assert_int_equal(chmod(f->socket, 0666), 0);
	for (uid_t uid = 23455; uid <= 23456; uid++) {
		pid = fork();
		if (pid == 0) {
			struct mqw_helper_request q = request(MQW_HELPER_PING, "", "");

			if (setuid(uid) < 0)
				_exit(9);
			a = ask_bytes(f, &q, sizeof(q), MQW_HELPER_PING);
			_exit(a.status == MQW_HELPER_OK                 ? 0
					: strstr(a.text, "may not ask") ? 1
									: 2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), uid == 23456 ? 0 : 1);
	}
	expect_serving(f);
}

/* They go on where the process before left them, and only in a directory that is there. */
static void test_counts(void **state)
{
	const struct fixture *f = *state;
	struct mqw_helper_counts *a = mqw_helper_counts_open(f->directory), *b;
	char path[160];

	assert_non_null(a);
	assert_int_equal(atomic_load(&a->refused), 0);
	atomic_fetch_add(&a->refused, 7);
	b = mqw_helper_counts_open(f->directory);
	assert_non_null(b);
	assert_int_equal(atomic_load(&b->refused), 7);
	assert_int_equal(atomic_load(&b->done), 0);
	snprintf(path, sizeof(path), "%s/counts", f->directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(f->config, path), 0);
	assert_null(mqw_helper_counts_open(f->directory));
	assert_null(mqw_helper_counts_open("/nonexistent"));
}

static void test_fields(void **state)
{
	char field[8];
	struct mqw_slice s;

	(void)state;
	memset(field, 'x', sizeof(field));
	assert_true(mqw_helper_field_put(field, sizeof(field), MQW_LIT("1234567")));
	assert_true(mqw_helper_field_get(field, sizeof(field), &s));
	assert_true(mqw_slice_eq(s, MQW_LIT("1234567")));
	assert_false(mqw_helper_field_put(field, sizeof(field), MQW_LIT("12345678")));
	assert_false(mqw_helper_field_put(field, sizeof(field), mqw_slice("1\0002", 3)));
	assert_true(mqw_helper_field_put(field, sizeof(field), MQW_SLICE_NULL));
	assert_true(mqw_helper_field_get(field, sizeof(field), &s));
	assert_int_equal(s.len, 0);
	field[7] = 'x';
	assert_false(mqw_helper_field_get(field, sizeof(field), &s));
	memset(field, 'x', sizeof(field));
	assert_false(mqw_helper_field_get(field, sizeof(field), &s));
}

static void test_answer_check(void **state)
{
	const struct mqw_helper_answer good = {.magic = MQW_HELPER_MAGIC,
		.version = MQW_HELPER_VERSION,
		.op = MQW_HELPER_FLUSH,
		.status = MQW_HELPER_FAILED,
		.text = "why"};
	struct mqw_helper_answer a = good;

	(void)state;
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), 0);
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a) - 1, MQW_HELPER_FLUSH), -EBADMSG);
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_PING), -EBADMSG);
	a.status = MQW_HELPER_STATUS_END;
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EBADMSG);
	a = good;
	a.version = 2;
	assert_int_equal(
		mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EPROTONOSUPPORT);
	a = good;
	a.magic = 0;
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EBADMSG);
	a = good;
	a.text[1] = '\n';
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EBADMSG);
	memset(a.text, 'x', sizeof(a.text));
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EBADMSG);
	a = good;
	a.op = 0;
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), -EBADMSG);
	a.status = MQW_HELPER_REFUSED;
	assert_int_equal(mqw_helper_answer_check(&a, sizeof(a), MQW_HELPER_FLUSH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers_that_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_answer_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
