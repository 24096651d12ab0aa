/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On a busy host many deliveries fail before the first is reported: each report is known all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "log_fixture.h"
#include "probes/exim/exim.h"
#include "probes/syslog/header.h"

#define AT_ONCE 200

static struct mqw_syslog_reader stamps;

static void read_line(struct mqw_probe *p, const char *raw, struct got *g)
{
	struct mqw_sink sink = {.emit = emit, .ctx = g};
	struct mqw_line line = {0};

	memset(g, 0, sizeof(*g));
	assert_int_not_equal(mqw_exim_own_form(&stamps, mqw_slice_of(raw), &line), MQW_FORM_NONE);
	assert_int_equal(mqw_exim_line(p, &line, &sink), MQW_LINE_USED);
}

static void test_many_at_once(void **state)
{
	struct mqw_probe *p = mqw_exim_log_create(NULL, 0);
	char raw[256];
	struct got g;

	(void)state;
	assert_non_null(p);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < AT_ONCE; i++) {
			snprintf(raw, sizeof(raw),
				"2026-11-25 03:%02d:01 1xW3sp-%06d-0U ** a@b.test R=r T=t: x",
				round * 2, round * AT_ONCE + i);
			read_line(p, raw, &g);
		}
		for (int i = 0; i < AT_ONCE; i++) {
			snprintf(raw, sizeof(raw),
				"2026-11-25 03:%02d:02 1xW3sq-%06d-0U <= <> R=1xW3sp-%06d-0U "
				"P=local S=9",
				round * 2, i, round * AT_ONCE + i);
			read_line(p, raw, &g);
			assert_int_equal(g.kinds[0], MQW_EVENT_NDR);
		}
	}
	/* What has not failed, or long ago, is warned of. */
	read_line(
		p, "2026-11-25 03:50:00 1xW3sq-000001-0V <= <> R=1xW3sp-000001-0U P=local S=9", &g);
	assert_int_equal(g.kinds[0], MQW_EVENT_NOTIFIED);
	read_line(
		p, "2026-11-25 03:50:00 1xW3sq-000001-0W <= <> R=1xW3sr-000001-0U P=local S=9", &g);
	assert_int_equal(g.kinds[0], MQW_EVENT_NOTIFIED);
	mqw_exim_log_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_at_once)};

	mqw_syslog_reader_init(&stamps, 0, MQW_TIME_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
