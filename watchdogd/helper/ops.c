/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "watchdogd/helper/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "probes/probe.h"
#include "watchdogd/base/beneath.h"
#include "watchdogd/base/process.h"
#include "watchdogd/config/config.h"
#include "watchdogd/helper/service.h"

#define RESTART_TIMEOUT (90 * MQW_SECOND)
#define TURN_TIMEOUT (40 * MQW_SECOND) /* for which another recovery is waited for */
#define TURN_PAUSE (MQW_SECOND / 20)
#define COMMAND_OUTPUT_MAX 16384
#define TEXT_MAX 256

struct request {
	const struct mqw_helper_policy *policy;
	const struct mqw_config *config;
	const struct mqw_instance_config *instance;
	const struct mqw_probe_ops *probe;
	const char *queue_id; /* "" for ops that have none */
	struct mqw_buffer *text;
};

typedef enum mqw_helper_status run_fn(const struct request *q);

static enum mqw_helper_status say(
	const struct request *q, enum mqw_helper_status status, const char *text)
{
	mqw_buffer_add_str(q->text, text);
	return status;
}

/* What an MTA's control function answered. done: the sentence for success. */
static enum mqw_helper_status conclude(
	const struct request *q, int r, const char *text, const char *done)
{
	if (r == 0)
		return say(q, MQW_HELPER_OK, done);
	if (r > 0)
		return say(q, MQW_HELPER_ALREADY, "that had been done already");
	mqw_buffer_add_str(q->text, text[0] ? text : strerror(-r));
	/* Nothing was tried where the message turned out not to be lost, or to be no message. */
	return r == -EBUSY || r == -EBADMSG || r == -ENODATA ? MQW_HELPER_REFUSED
							     : MQW_HELPER_FAILED;
}

/* What is under way now runs no program: nobody gets it to do so. */
static void give_up_programs(const struct request *q)
{
	/* The unit's own filter stays where this fails, and serve.c has said that it does. */
	(void)mqw_syscalls_confine(MQW_MAY_READ | MQW_MAY_CONNECT, q->policy->filter);
}

/* How the MTA is told; queue_directory, where the configuration has none, is not asked here. */
static struct mqw_control control_of(const struct request *q)
{
	return (struct mqw_control){q->instance->config_dir, q->instance->queue};
}

static const struct mqw_control_ops *ops_of(const struct request *q)
{
	static const struct mqw_control_ops none;

	return q->probe->control ? q->probe->control : &none;
}

static enum mqw_helper_status cannot(const struct request *q)
{
	mqw_buffer_printf(q->text, "%s cannot be told to do that", q->probe->name);
	return MQW_HELPER_REFUSED;
}

static enum mqw_helper_status requeue(const struct request *q)
{
	struct mqw_control c = control_of(q);
	char text[TEXT_MAX] = "";

	if (!ops_of(q)->requeue)
		return cannot(q);
	return conclude(q, ops_of(q)->requeue(&c, q->queue_id, text, sizeof(text)), text,
		"the message is tried now");
}

static enum mqw_helper_status flush(const struct request *q)
{
	struct mqw_control c = control_of(q);
	char text[TEXT_MAX] = "";

	if (!ops_of(q)->flush)
		return cannot(q);
	return conclude(
		q, ops_of(q)->flush(&c, text, sizeof(text)), text, "the whole queue is tried now");
}

/* The instance's folder of the vault. */
static int open_vault(const struct request *q)
{
	int state = open(q->config->state_directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	char path[128];

	if (state < 0)
		return -errno;
	if (snprintf(path, sizeof(path), "vault/%s", q->instance->name) < (int)sizeof(path))
		fd = mqw_open_beneath(state, path, O_RDONLY | O_DIRECTORY);
	else
		fd = -ENAMETOOLONG;
	close(state);
	return fd;
}

/*
 * One recovery of an instance at a time: of two that were asked for the same message, as when the
 * daemon was killed and comes back, the second sees what the first has done.
 */
static int wait_for_turn(int vault)
{
	const struct timespec pause = {0, TURN_PAUSE * 1000};
	int r = -EWOULDBLOCK;

	for (int i = 0; r == -EWOULDBLOCK && i < TURN_TIMEOUT / TURN_PAUSE; i++) {
		r = flock(vault, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (r == -EWOULDBLOCK)
			nanosleep(&pause, NULL);
	}
	return r;
}

/* The copy that the daemon prepared. A file of anyone else's can get here by a hard link only. */
static int open_copy(const struct request *q, int vault, const char *name)
{
	struct stat st;
	int fd = mqw_open_beneath(vault, name, O_RDONLY), r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EBADF;
	else if (st.st_uid != 0 && st.st_uid != q->policy->vault_owner)
		r = -EPERM;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static enum mqw_helper_status recover_from(const struct request *q, int fd)
{
	struct mqw_control c = control_of(q);
	struct mqw_mta_settings asked = {0};
	char text[TEXT_MAX] = "";
	int r = 0;

	if (!c.queue_directory) {
		r = q->probe->ask ? q->probe->ask(c.config_dir, &asked) : -EOPNOTSUPP;
		c.queue_directory = asked.queue_directory;
		if (r < 0)
			snprintf(text, sizeof(text), "%s did not tell its queue directory: %s",
				q->probe->name, strerror(-r));
	}
	if (r == 0)
		r = ops_of(q)->recover(&c, q->queue_id, fd, text, sizeof(text));
	mqw_mta_settings_done(&asked);
	return conclude(q, r, text, "the message was put back for those it is still owed to");
}

/* What comes of the machine, and not of what is asked for, may be asked for again. */
static bool passes(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EIO || r == -EAGAIN ||
		r == -EINTR;
}

static enum mqw_helper_status refuse_copy(const struct request *q, int r)
{
	mqw_buffer_printf(q->text, "the copy in the vault: %s", strerror(-r));
	return passes(r) ? MQW_HELPER_FAILED : MQW_HELPER_REFUSED;
}

/* The file changes its name when it was put back: a lost answer is not the only proof then. */
static enum mqw_helper_status recover_in_turn(const struct request *q, int vault)
{
	char name[96], done[96];
	enum mqw_helper_status status;
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "%s.recover", q->queue_id);
	snprintf(done, sizeof(done), "%s.done", q->queue_id);
	fd = open_copy(q, vault, name);
	if (fd == -ENOENT && fstatat(vault, done, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return conclude(q, 1, "", "");
	if (fd < 0)
		return refuse_copy(q, fd);
	status = recover_from(q, fd);
	close(fd);
	if ((status == MQW_HELPER_OK || status == MQW_HELPER_ALREADY) &&
		renameat(vault, name, vault, done) == 0)
		fsync(vault);
	return status;
}

static enum mqw_helper_status recover(const struct request *q)
{
	enum mqw_helper_status status;
	int vault, r;

	if (!ops_of(q)->recover)
		return cannot(q);
	vault = open_vault(q);
	if (vault < 0)
		return refuse_copy(q, vault);
	r = wait_for_turn(vault);
	if (r == 0)
		status = recover_in_turn(q, vault);
	else
		status = conclude(q, r, "another recovery takes long", "");
	close(vault);
	return status;
}

static int find_unit(const struct request *q, sd_bus *bus, char *ret, size_t size)
{
	return mqw_service_find(
		bus, q->instance->service, q->probe->default_unit, ret, size, q->text);
}

static enum mqw_helper_status restart_by_command(const struct request *q)
{
	struct mqw_process p = {.argv = q->instance->restart_command,
		.timeout = RESTART_TIMEOUT,
		.max_output = COMMAND_OUTPUT_MAX};
	int r = mqw_process_run(&p);
	enum mqw_helper_status status = MQW_HELPER_FAILED;

	if (r < 0) {
		mqw_buffer_printf(
			q->text, "%s could not be run to its end: %s", p.argv[0], strerror(-r));
	} else if (p.status != 0) {
		mqw_buffer_printf(q->text, "%s ended with status %d: ", p.argv[0], p.status);
		mqw_buffer_add(q->text, mqw_process_complaint(&p));
	} else {
		mqw_buffer_printf(q->text, "%s was run", p.argv[0]);
		status = MQW_HELPER_OK;
	}
	mqw_process_done(&p);
	return status;
}

static enum mqw_helper_status restart_unit(const struct request *q, sd_bus *bus)
{
	char unit[256];
	int r = find_unit(q, bus, unit, sizeof(unit));

	if (r == 0)
		return MQW_HELPER_REFUSED;
	if (r > 0)
		r = mqw_service_restart(
			bus, unit, q->probe->default_unit, RESTART_TIMEOUT, q->text);
	if (r == 0)
		return MQW_HELPER_OK;
	return r == -ENOENT || r == -EPERM ? MQW_HELPER_REFUSED : MQW_HELPER_FAILED;
}

static enum mqw_helper_status restart(const struct request *q)
{
	const char *const *command = q->instance->restart_command;
	enum mqw_helper_status status = MQW_HELPER_FAILED;
	sd_bus *bus = NULL;
	int r;

	if (q->instance->host)
		return say(q, MQW_HELPER_REFUSED,
			"the service is another host's, which the daemon restarts itself");
	if (command && command[0])
		return restart_by_command(q);
	give_up_programs(q);
	r = mqw_service_open(&bus);
	if (r < 0)
		mqw_buffer_printf(q->text,
			"systemd cannot be reached (%s): configure restart_command:", strerror(-r));
	else
		status = restart_unit(q, bus);
	sd_bus_flush_close_unref(bus);
	return status;
}

/*
 * 0 good, 1 nothing to be seen there (no systemd, a shell of a unit, a command instead of a unit),
 * -ESRCH not active, or another negative errno.
 */
static int unit_health(const struct request *q)
{
	const char *const *command = q->instance->restart_command;
	sd_bus *bus = NULL;
	char unit[256];
	int r;

	if ((command && command[0]) || mqw_service_open(&bus) < 0)
		return 1;
	r = find_unit(q, bus, unit, sizeof(unit));
	if (r > 0)
		r = mqw_service_healthy(bus, unit, q->text);
	else if (r == 0)
		r = 1;
	sd_bus_flush_close_unref(bus);
	/* Only a unit that somebody named has to be there. */
	return r == -ENOENT && !q->instance->service ? 1 : r;
}

static enum mqw_helper_status health(const struct request *q)
{
	struct mqw_control c = control_of(q);
	char text[TEXT_MAX] = "";
	int unit = unit_health(q), r;

	if (unit < 0) {
		if (unit != -ESRCH && unit != -ENOENT)
			return MQW_HELPER_FAILED;
		return MQW_HELPER_UNHEALTHY;
	}
	if (!ops_of(q)->healthy)
		return unit == 0 ? MQW_HELPER_OK : cannot(q);
	mqw_buffer_clear(q->text);
	r = ops_of(q)->healthy(&c, text, sizeof(text));
	if (r >= 0)
		return say(q, MQW_HELPER_OK, "unit and queue manager are alive");
	mqw_buffer_add_str(q->text, text[0] ? text : strerror(-r));
	return r == -ESRCH ? MQW_HELPER_UNHEALTHY : MQW_HELPER_FAILED;
}

static enum mqw_helper_status ping(const struct request *q)
{
	give_up_programs(q);
	return say(q, MQW_HELPER_OK, "mailq-watchdog-helper " MQW_VERSION);
}

static const struct {
	run_fn *run;
	bool instance, queue_id; /* what it is asked with; the other fields have to be empty */
	bool harmless; /* allowed in mode observe */
} ops[MQW_HELPER_OP_END] = {
	[MQW_HELPER_PING] = {ping, false, false, true},
	[MQW_HELPER_REQUEUE] = {requeue, true, true, false},
	[MQW_HELPER_FLUSH] = {flush, true, false, false},
	[MQW_HELPER_RESTART] = {restart, true, false, false},
	[MQW_HELPER_HEALTH] = {health, true, false, true},
	[MQW_HELPER_RECOVER] = {recover, true, true, false},
};

static enum mqw_helper_status run_on_instance(
	struct request *q, uint32_t op, struct mqw_slice instance, struct mqw_slice queue_id)
{
	q->instance = mqw_config_instance(q->config, instance);
	if (!q->instance)
		return say(q, MQW_HELPER_REFUSED, "the configuration has no such instance");
	if (q->config->mode == MQW_MODE_OBSERVE && !ops[op].harmless)
		return say(q, MQW_HELPER_REFUSED, "the configuration says mode: observe");
	q->probe = mqw_probe_find(mqw_slice_of(q->instance->type));
	if (!q->probe)
		return say(q, MQW_HELPER_REFUSED, "the instance's type is not known");
	if (ops[op].queue_id && !q->probe->valid_id(queue_id))
		return say(q, MQW_HELPER_REFUSED, "that is no queue id of this MTA");
	return ops[op].run(q);
}

enum mqw_helper_status mqw_helper_perform(const struct mqw_helper_policy *policy,
	const struct mqw_helper_request *request, struct mqw_buffer *ret_text)
{
	struct request q = {.policy = policy, .queue_id = request->queue_id, .text = ret_text};
	struct mqw_slice instance, queue_id;
	struct mqw_diag diag = {0};
	struct mqw_config *config = NULL;
	enum mqw_helper_status status;
	int r;

	if (request->op >= MQW_HELPER_OP_END || !ops[request->op].run)
		return say(&q, MQW_HELPER_REFUSED, "there is no such operation");
	if (request->reserved ||
		!mqw_helper_field_get(request->instance, sizeof(request->instance), &instance) ||
		!mqw_helper_field_get(request->queue_id, sizeof(request->queue_id), &queue_id) ||
		!instance.len != !ops[request->op].instance ||
		!queue_id.len != !ops[request->op].queue_id)
		return say(&q, MQW_HELPER_REFUSED, "the request's fields are malformed");
	if (!ops[request->op].instance)
		return ops[request->op].run(&q);
	r = mqw_config_load(policy->config_path, &config, &diag);
	if (r < 0) {
		struct mqw_slice text = mqw_buffer_slice(&diag.text);

		mqw_buffer_add_str(ret_text, "the configuration is not taken: ");
		mqw_buffer_add(ret_text, mqw_slice_head(text, mqw_slice_chr(text, '\n')));
		status = passes(r) ? MQW_HELPER_FAILED : MQW_HELPER_REFUSED;
	} else {
		q.config = config;
		status = run_on_instance(&q, request->op, instance, queue_id);
	}
	mqw_config_free(config);
	mqw_diag_done(&diag);
	return status;
}
