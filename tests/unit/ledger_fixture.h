/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ledger in a directory of its own, and messages to put into it. */
#ifndef MQW_TESTS_UNIT_LEDGER_FIXTURE_H
#define MQW_TESTS_UNIT_LEDGER_FIXTURE_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/ledger/ledger.h"

#define HOSTILE "\xff\xfe'; DROP TABLE message; --\x1b[31m\n\xc3\x28"

static char dir[64], path[96];

static inline int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-ledger-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	return 0;
}

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static inline struct mqw_ledger *must_open(void)
{
	struct mqw_ledger *l = NULL;
	char *error = NULL;
	int r = mqw_ledger_open(path, &l, &error);

	if (r < 0)
		print_error("open: %d %s\n", r, error);
	assert_int_equal(r, 0);
	assert_non_null(l);
	return l;
}

static inline void run_sql(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Each field has a value of its own, so that no two can be mixed up unseen. */
static inline struct mqw_recipient full_recipient(void)
{
	return (struct mqw_recipient){.address = (char *)HOSTILE "@example.net",
		.relay = (char *)"mx.example.net[192.0.2.1]:25",
		.reply = (char *)"451 4.7.1 " HOSTILE,
		.successor = (char *)"4next",
		.successor_known = true,
		.status = "4.7.12345",
		.code = 65535,
		.state = MQW_RECIPIENT_MISBOUNCED,
		.hasty = true,
		.doubtful = true,
		.attempts = 4000000000U,
		.reported = MQW_VERDICT_FALSE_NDR,
		.counted = MQW_VERDICT_PENDING,
		.first_attempt = 101,
		.last_attempt = -102,
		.first_seen_at = {.source = 7, .line = UINT64_MAX},
		.last_seen_at = {.source = UINT32_MAX, .line = 9}};
}

static inline struct mqw_message full_message(struct mqw_recipient *recipients, uint32_t count)
{
	return (struct mqw_message){.number = 7,
		.realm = "host.example",
		.queue_id = "4F3aBcDeFgHz1k",
		.instance = "postfix-out",
		.sender = (char *)"",
		.message_id = (char *)HOSTILE "@example.com",
		.ndr_id = (char *)"4ndr",
		.former_id = (char *)"4former",
		.successor = (char *)"4succ",
		.recipients = recipients,
		.last_recipient = recipients ? recipients + count - 1 : NULL,
		.recipient_count = count,
		.announced = 3,
		.opening_seen = true,
		.age_known = true,
		.held = true,
		.admin_removed = true,
		.discarded = true,
		.probe = true,
		.gave_up_forced = true,
		.queue_gone = true,
		.place = MQW_PLACE_COUNT - 1,
		.dirty = true,
		.reported = MQW_VERDICT_VANISHED,
		.counted = MQW_VERDICT_OVERDUE,
		.opened_at = 1,
		.first_seen = 2,
		.last_seen = INT64_MAX,
		.deferred_at = 4,
		.gave_up_at = MQW_TIME_NONE,
		.requeued_at = 6,
		.gone_at = 7,
		.closed_at = MQW_TIME_NONE,
		.retry_at = 9,
		.lost_how = (char *)"lost it"};
}

#endif
