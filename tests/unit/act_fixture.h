/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions with a real ledger, vault, tracker and loop, and a root helper that only pretends. */
#ifndef MQW_TESTS_UNIT_ACT_FIXTURE_H
#define MQW_TESTS_UNIT_ACT_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracker_fixture.h"
#include "watchdogd/act/act.h"
#include "watchdogd/ledger/outbox.h"

/* What the helper answers, and what it was asked: shared with its process. */
struct fake_helper {
	uint32_t status[MQW_HELPER_OP_END];
	bool mute; /* it never answers */
	uint32_t asked[MQW_HELPER_OP_END];
	char queue_id[64]; /* of the last recover */
	size_t size; /* of its file, SIZE_MAX: there was none */
	char file[4096];
};

static struct fake_helper *helper;
static pid_t helper_pid;
static char dir[64], helper_path[96];
static sd_event *event;
static struct mqw_ledger *ledger;
static struct mqw_vault *vault;
static struct mqw_act *act;
static struct mqw_act_instance instance;
static struct mqw_config *config;
static struct mqw_rules *rules;

static inline void serve_one(int fd)
{
	struct mqw_helper_request q;
	struct mqw_helper_answer a = {
		.magic = MQW_HELPER_MAGIC, .version = MQW_HELPER_VERSION, .text = "as told"};
	char path[200];

	if (recv(fd, &q, sizeof(q), 0) != sizeof(q) || q.op >= MQW_HELPER_OP_END)
		_exit(1);
	a.op = q.op;
	a.status = helper->status[q.op];
	if (q.op == MQW_HELPER_RECOVER) {
		int file;
		ssize_t n;

		snprintf(path, sizeof(path), "%s/vault/out/%s.recover", dir, q.queue_id);
		file = open(path, O_RDONLY);
		n = file < 0 ? -1 : read(file, helper->file, sizeof(helper->file));
		helper->size = n < 0 ? SIZE_MAX : (size_t)n;
		memcpy(helper->queue_id, q.queue_id, sizeof(q.queue_id));
		if (file >= 0)
			close(file);
	}
	helper->asked[q.op]++;
	if (!helper->mute) {
		send(fd, &a, sizeof(a), MSG_NOSIGNAL);
		close(fd);
	}
}

static inline void start_helper(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", helper_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 32), 0);
	fflush(NULL);
	helper_pid = fork();
	assert_true(helper_pid >= 0);
	/* A test that fails must not leave it, and with it whoever waits for its output. */
	if (helper_pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (helper_pid == 0) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0)
			serve_one(c);
	}
	close(fd);
}

static inline void stop_helper(void)
{
	if (helper_pid > 0) {
		kill(helper_pid, SIGKILL);
		waitpid(helper_pid, NULL, 0);
	}
	helper_pid = 0;
	unlink(helper_path);
}

static inline void load_rules(const char *text)
{
	struct mqw_diag faults = {0};
	struct mqw_buffer whole = {0};

	mqw_rules_free(rules);
	mqw_config_free(config);
	mqw_buffer_printf(&whole,
		"version: 1\nmode: act\ninstances: [{name: out, type: postfix}]\nrules:\n%s", text);
	if (mqw_config_parse(mqw_buffer_slice(&whole), "x.yaml", &config, &faults) < 0 ||
		mqw_rules_load(config, &rules, &faults) < 0)
		fail_msg("%s", mqw_buffer_str(&faults.text));
	mqw_buffer_done(&whole);
	mqw_diag_done(&faults);
}

/* As after a restart of the daemon: nothing is left but ledger, vault and tracker. */
static inline void restart_act(void)
{
	mqw_act_free(act);
	act = mqw_act_create(event, ledger, helper_path);
	assert_non_null(act);
	mqw_act_set_mode(act, MQW_MODE_ACT);
}

static inline int act_setup(void **state)
{
	char path[96];

	options = mqw_tracker_defaults();
	realm = MQW_SLICE_NULL; /* as the daemon has it */
	begin(true);
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-act-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(helper_path, sizeof(helper_path), "%s/helper.sock", dir);
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(mqw_ledger_open(path, &ledger, NULL), 0);
	assert_int_equal(mqw_vault_open(dir, "out", &vault), 0);
	assert_int_equal(sd_event_new(&event), 0);
	helper = mmap(
		NULL, sizeof(*helper), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(helper != MAP_FAILED);
	instance = (struct mqw_act_instance){.name = "out",
		.probe = mqw_probe_find(MQW_LIT("postfix")),
		.tracker = t,
		.vault = vault,
		.caught_up = true};
	load_rules("  - {name: back, when: {verdict: [vanished, false_ndr]}, do: [recover]}\n");
	restart_act();
	return 0;
}

static inline int act_teardown(void **state)
{
	char command[128];

	(void)state;
	stop_helper();
	act = mqw_act_free(act);
	t = mqw_tracker_free(t);
	mqw_buffer_done(&said);
	rules = mqw_rules_free(rules);
	config = mqw_config_free(config);
	vault = mqw_vault_close(vault);
	ledger = mqw_ledger_close(ledger);
	event = sd_event_unref(event);
	munmap(helper, sizeof(*helper));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* A short record as rec_put() of Postfix writes it. */
static inline void record(struct mqw_buffer *b, char type, const char *data)
{
	char head[2] = {type, (char)strlen(data)};

	mqw_buffer_add(b, mqw_slice(head, 2));
	mqw_buffer_add_str(b, data);
}

/* Puts a queue file, for B by these records and for C, made at this time, into the vault. */
static inline void keep_copy_as(const char *id, int64_t created, const char *records)
{
	struct mqw_buffer b = {0};
	char path[128], text[64];
	size_t content;
	int fd, root;

	record(&b, 'C',
		"              1               1               2               0"
		"               0               0");
	snprintf(text, sizeof(text), "%lld 0", (long long)(created / MQW_SECOND));
	record(&b, 'T', text);
	snprintf(text, sizeof(text), "create_time=%lld", (long long)(created / MQW_SECOND));
	record(&b, 'A', text);
	record(&b, 'S', "a@example.com");
	for (const char *type = records; *type; type++)
		record(&b, *type, B);
	record(&b, 'R', C);
	record(&b, 'M', "");
	content = b.len;
	record(&b, 'N', "Subject: greeting");
	snprintf(text, sizeof(text), "%15zu %15zu", b.len - content, content);
	memcpy(b.ptr + 2, text, 31);
	b.ptr[b.len - 1] = '!';
	record(&b, 'X', "");
	record(&b, 'E', "");
	snprintf(path, sizeof(path), "%s/%s", dir, id);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b.ptr, b.len), b.len);
	close(fd);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mqw_vault_copy_in(vault, root, id, mqw_slice_of(id), 0700, 4096), 1);
	close(root);
	mqw_buffer_done(&b);
}

static inline void keep_copy(const char *id, int64_t created)
{
	keep_copy_as(id, created, "R");
}

/* The rules are told what is judged of this recipient now, and what they want is begun. */
static inline void found(const char *id, const char *recipient, int64_t now)
{
	struct mqw_act_context context = {act, &instance};
	const struct mqw_message *m = message(id);
	struct mqw_judgement j = judge(id, recipient);
	const struct mqw_finding f = {.instance = "out",
		.mta = "postfix",
		.message = m,
		.recipient = mqw_tracker_recipient(m, mqw_slice_of(recipient)),
		.judgement = &j,
		.time = now};

	mqw_rules_match(rules, &f, mqw_act_fire, &context);
	mqw_act_settle(act, now);
}

static inline int add_state(void *ctx, const struct mqw_action_record *a)
{
	mqw_buffer_printf(ctx, "%s %s %s\n", a->kind, a->queue_id[0] ? a->queue_id : "-",
		mqw_action_state_name(a->state));
	return 0;
}

/* All of the ledger's actions, newest first. */
#define assert_actions(want)                                                                       \
	do {                                                                                       \
		struct mqw_buffer listed = {0};                                                    \
		assert_int_equal(                                                                  \
			mqw_ledger_each_action(ledger, false, 100, add_state, &listed), 0);        \
		assert_string_equal(mqw_buffer_str(&listed), want);                                \
		mqw_buffer_done(&listed);                                                          \
	} while (0)

static inline int count_open(void *ctx, const struct mqw_action_record *a)
{
	(void)a;
	++*(int *)ctx;
	return 0;
}

/* Runs the loop until no intent is open, or for so many turns of 0.1 s. */
static inline void run(int turns)
{
	int open = 1;

	while (open && turns-- > 0) {
		assert_true(sd_event_run(event, 100000) >= 0);
		open = 0;
		mqw_ledger_each_action(ledger, true, 100, count_open, &open);
	}
}

static inline bool has_file(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/vault/out/%s", dir, name);
	return access(path, F_OK) == 0;
}

static inline int count_due(void *ctx, const struct mqw_outbox_record *r)
{
	(void)r;
	++*(int *)ctx;
	return 0;
}

/* Has everything sent that is due, and waits until it is. */
static inline void send_all(int64_t now)
{
	int waiting = 0;

	mqw_ledger_outbox_each_due(ledger, now, MQW_DAY, 10, count_due, &waiting);
	for (int i = 0; waiting && i < 1000; i++) {
		mqw_act_send_alerts(act, now);
		assert_true(sd_event_run(event, 20000) >= 0);
		waiting = 0;
		mqw_ledger_outbox_each_due(ledger, now, MQW_DAY, 10, count_due, &waiting);
	}
	assert_int_equal(waiting, 0);
}

#endif
