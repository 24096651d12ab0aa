/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vault list, show, export: the copies that are kept, read from the vault itself, so that they can
 * be had while no daemon runs. Only root and the daemon's user can.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probes/probe.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/cli/commands.h"
#include "watchdogd/config/config.h"
#include "watchdogd/vault/vault.h"

#define COPY_MAX ((uint64_t)256 * 1024 * 1024)

struct ask {
	const char *config, *instance, *output;
	const char *queue_id; /* NULL: all */
	bool json, help, export;
	uint64_t found, faulty;
};

static const char usage[] =
	"usage: mailq-watchdog vault list [OPTION...]\n"
	"       mailq-watchdog vault show [OPTION...] QUEUE-ID\n"
	"       mailq-watchdog vault export [OPTION...] QUEUE-ID\n\n"
	"Lists the copies that are kept, shows one, or writes its mail as an .eml file.\n"
	"Needs no daemon, but root or the daemon's user.\n\n"
	"  --instance NAME\n"
	"  --format FORMAT  text or json, for list and show\n"
	"  --output FILE    for export: a new file, mode 0600 (standard output)\n"
	"  --config PATH    (" MQW_CONFIG_PATH ")\n"
	"  --help           this text\n\n"
	"Exit status: 0 good, 1 no such copy, 2 usage or something could not be read.\n";

static bool read_options(struct ask *a, int argc, char **argv)
{
	static const struct option options[] = {{"instance", required_argument, NULL, 'i'},
		{"format", required_argument, NULL, 'f'}, {"output", required_argument, NULL, 'o'},
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	bool list = !strcmp(argv[0], "list"), good = true;
	int c;

	*a = (struct ask){.config = MQW_CONFIG_PATH, .export = !strcmp(argv[0], "export")};
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'i')
			a->instance = optarg;
		else if (c == 'o')
			a->output = optarg;
		else if (c == 'c')
			a->config = optarg;
		else if (c == 'h')
			a->help = true;
		else if (c == 'f' && (!strcmp(optarg, "text") || !strcmp(optarg, "json")))
			a->json = !strcmp(optarg, "json");
		else
			good = false;
	}
	if (!list && optind < argc)
		a->queue_id = argv[optind++];
	if (!list && !a->export && strcmp(argv[0], "show") != 0 && strcmp(argv[0], "--help") != 0)
		good = false;
	if (a->export ? a->json : a->output != NULL)
		good = false;
	return good && optind == argc && (list || (a->queue_id && *a->queue_id));
}

/* One copy, read. */
struct copy {
	const struct mqw_instance_config *instance;
	const struct mqw_probe_ops *probe;
	struct mqw_slice queue_id;
	uint64_t size;
	int64_t changed_at;
	struct mqw_buffer content, envelope;
	struct mqw_slice files[MQW_BUNDLE_MAX];
	size_t file_count;
	struct mqw_queue_file file;
};

/* 0, or a negative errno; -EBADMSG: it is no queue file of this MTA. */
static int read_copy(const struct mqw_vault *v, struct copy *c)
{
	int r = mqw_vault_read_all(v, c->queue_id, COPY_MAX, &c->content);

	if (r == 0) {
		r = mqw_probe_files(c->probe, mqw_buffer_slice(&c->content), c->files);
		c->file_count = r > 0 ? (size_t)r : 0;
	}
	if (r > 0)
		r = mqw_probe_envelope(c->probe, c->files, c->file_count, &c->envelope);
	return r < 0 ? r : c->probe->queue_file(mqw_buffer_slice(&c->envelope), &c->file);
}

static json_t *copy_json(const struct copy *c)
{
	json_t *recipients = json_array();

	for (size_t i = 0; i < c->file.recipient_count; i++)
		json_array_append_new(recipients,
			json_pack("{s:o,s:b}", "address",
				mqw_json_text_or_null(c->file.recipients[i].address), "done",
				c->file.recipients[i].done));
	return json_pack("{s:s,s:s,s:s,s:o,s:I,s:o,s:o,s:o,s:o,s:o}", "type", "copy", "instance",
		c->instance->name, "mta", c->probe->name, "queue_id", mqw_json_text(c->queue_id),
		"size", (json_int_t)c->size, "changed", mqw_json_time(c->changed_at), "arrived",
		mqw_json_time(c->file.arrived_at), "sender", mqw_json_text_or_null(c->file.sender),
		"message_id", mqw_json_text_or_null(c->file.message_id), "recipients", recipients);
}

static void print_json(const struct copy *c)
{
	struct mqw_buffer b = {0};
	json_t *j = copy_json(c);

	mqw_json_add(&b, j);
	puts(mqw_buffer_str(&b));
	json_decref(j);
	mqw_buffer_done(&b);
}

static size_t count_open(const struct mqw_queue_file *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->recipient_count; i++)
		n += !f->recipients[i].done;
	return n;
}

static void print_line(const struct copy *c)
{
	struct mqw_buffer b = {0};

	mqw_buffer_printf(&b, "%-20.*s %-10s %9llu  ", (int)c->queue_id.len, c->queue_id.ptr,
		c->instance->name, (unsigned long long)c->size);
	mqw_time_format(&b, c->changed_at);
	mqw_buffer_add_str(&b, "  <");
	mqw_buffer_add_printable(&b, mqw_slice_of(c->file.sender));
	mqw_buffer_printf(&b, ">, %zu of %zu recipients to do", count_open(&c->file),
		c->file.recipient_count);
	puts(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void add_line(struct mqw_buffer *b, const char *label, const char *before, const char *text,
	const char *after)
{
	mqw_buffer_printf(b, "  %-11s%s", label, before);
	mqw_buffer_add_printable(b, mqw_slice_of(text));
	mqw_buffer_printf(b, "%s\n", after);
}

static void add_time(struct mqw_buffer *b, const char *label, int64_t time)
{
	if (time == MQW_TIME_NONE)
		return;
	mqw_buffer_printf(b, "  %-11s", label);
	mqw_time_format(b, time);
	mqw_buffer_add_str(b, "\n");
}

static void print_whole(const struct copy *c)
{
	struct mqw_buffer b = {0};

	mqw_buffer_printf(&b, "%.*s of %s (%s), %llu bytes\n", (int)c->queue_id.len,
		c->queue_id.ptr, c->instance->name, c->probe->name, (unsigned long long)c->size);
	add_time(&b, "arrived", c->file.arrived_at);
	add_time(&b, "state of", c->changed_at);
	add_line(&b, "sender", "<", c->file.sender, ">");
	if (c->file.message_id)
		add_line(&b, "Msg-ID", "<", c->file.message_id, ">");
	for (size_t i = 0; i < c->file.recipient_count; i++)
		add_line(&b, c->file.recipients[i].done ? "done" : "to do", "<",
			c->file.recipients[i].address, ">");
	if (c->probe->control && c->probe->control->recover_how) {
		add_line(&b, "recover", "", c->probe->control->recover_how, "");
		add_line(&b, "loses", "", c->probe->control->recover_loses, "");
	}
	fputs(mqw_buffer_str(&b), stdout);
	mqw_buffer_done(&b);
}

/* The envelope's sender goes into the header that the last MTA would have put there (RFC 5321 4.4). */
static int make_eml(const struct copy *c, struct mqw_buffer *ret)
{
	struct mqw_slice sender = mqw_slice_of(c->file.sender);

	if (mqw_slice_chr(sender, '\n') == sender.len && mqw_slice_chr(sender, '\r') == sender.len)
		mqw_buffer_printf(ret, "Return-Path: <%s>\n", c->file.sender);
	return c->probe->mail ? c->probe->mail(c->files, c->file_count, ret) : -EOPNOTSUPP;
}

static int write_eml(struct ask *a, const struct copy *c)
{
	struct mqw_buffer mail = {0};
	int fd = STDOUT_FILENO, r = make_eml(c, &mail);

	if (r == 0 && a->output) {
		fd = open(a->output, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = mqw_fd_write_all(fd, mqw_buffer_slice(&mail));
	if (fd != STDOUT_FILENO && fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	mqw_buffer_done(&mail);
	if (r < 0)
		fprintf(stderr, "mailq-watchdog: %s: %s\n",
			a->output ? a->output : "the mail could not be written", strerror(-r));
	return r;
}

static void say_unreadable(struct ask *a, const struct copy *c, int error)
{
	a->faulty++;
	fprintf(stderr, "mailq-watchdog: the copy %.*s of %s: %s\n", (int)c->queue_id.len,
		c->queue_id.ptr, c->instance->name,
		error == -EBADMSG ? "no sound queue file" : strerror(-error));
}

static void take_copy(struct ask *a, const struct mqw_vault *v, struct copy *c)
{
	int r = read_copy(v, c);

	/* Settled and gone, meanwhile. */
	if (r == -ENOENT)
		return;
	a->found++;
	if (r < 0) {
		say_unreadable(a, c, r);
	} else if (a->export) {
		a->faulty += write_eml(a, c) < 0;
	} else if (a->json) {
		print_json(c);
	} else if (a->queue_id) {
		print_whole(c);
	} else {
		print_line(c);
	}
	if (r == 0)
		mqw_queue_file_done(&c->file);
	mqw_buffer_done(&c->content);
	mqw_buffer_done(&c->envelope);
}

/* The ids first: reading takes long, and the daemon goes on. */
struct listing {
	const char *queue_id;
	struct copy *list;
	size_t count;
	struct mqw_vault *vault;
	const struct mqw_instance_config *instance;
};

static int note(void *ctx, const struct mqw_vault_entry *e)
{
	struct listing *l = ctx;
	struct copy *c;

	if (e->kind != MQW_VAULT_COPY ||
		(l->queue_id && !mqw_slice_eq(e->queue_id, mqw_slice_of(l->queue_id))))
		return 0;
	c = realloc(l->list, (l->count + 1) * sizeof(*c));
	if (!c)
		return -ENOMEM;
	l->list = c;
	c[l->count++] = (struct copy){.instance = l->instance,
		.probe = mqw_probe_find(mqw_slice_of(l->instance->type)),
		.queue_id = mqw_slice(mqw_slice_dup(e->queue_id), e->queue_id.len),
		.size = e->size,
		.changed_at = e->changed_at};
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;

	return x->changed_at < y->changed_at ? -1 : x->changed_at > y->changed_at;
}

static void take_instance(
	struct ask *a, const struct mqw_config *config, const struct mqw_instance_config *in)
{
	struct listing l = {.queue_id = a->queue_id, .instance = in};
	int r = mqw_vault_open_to_read(config->state_directory, in->name, &l.vault);

	/* Nothing was kept of it yet. */
	if (r == -ENOENT || !mqw_probe_find(mqw_slice_of(in->type)))
		return;
	if (r == 0)
		r = mqw_vault_each(l.vault, note, &l);
	if (r < 0) {
		a->faulty++;
		fprintf(stderr, "mailq-watchdog: %s/vault/%s: %s%s\n", config->state_directory,
			in->name, strerror(-r),
			r == -EACCES ? ": run as root or as the daemon's user" : "");
	}
	if (l.count)
		qsort(l.list, l.count, sizeof(*l.list), by_time);
	for (size_t i = 0; i < l.count; i++) {
		if (l.list[i].queue_id.ptr && !(a->export && a->found))
			take_copy(a, l.vault, &l.list[i]);
		free((char *)(uintptr_t)l.list[i].queue_id.ptr);
	}
	free(l.list);
	mqw_vault_close(l.vault);
}

static int conclude(const struct ask *a)
{
	struct mqw_buffer shown = {0};

	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("mailq-watchdog: the output could not be written\n", stderr);
		return 2;
	}
	if (a->faulty)
		return 2;
	if (!a->queue_id || a->found)
		return 0;
	mqw_buffer_add_printable(&shown, mqw_slice_of(a->queue_id));
	fprintf(stderr, "mailq-watchdog: there is no copy of %s\n", mqw_buffer_str(&shown));
	mqw_buffer_done(&shown);
	return 1;
}

int mqw_cli_vault(int argc, char **argv)
{
	struct mqw_config *config = NULL;
	struct mqw_diag faults = {0};
	bool any = false;
	struct ask a;

	if (!read_options(&a, argc, argv) || a.help) {
		fputs(usage, a.help ? stdout : stderr);
		return a.help ? 0 : 2;
	}
	if (a.export && !a.output && isatty(STDOUT_FILENO)) {
		fputs("mailq-watchdog: a mail may hold what a terminal obeys: use --output FILE\n",
			stderr);
		return 2;
	}
	if (mqw_config_load(a.config, &config, &faults) < 0) {
		fputs(mqw_buffer_str(&faults.text), stderr);
		mqw_diag_done(&faults);
		return 2;
	}
	mqw_diag_done(&faults);
	for (size_t i = 0; i < config->instance_count; i++) {
		if (a.instance && strcmp(a.instance, config->instances[i].name) != 0)
			continue;
		any = true;
		take_instance(&a, config, &config->instances[i]);
	}
	mqw_config_free(config);
	if (!any) {
		fputs("mailq-watchdog: the configuration has no such instance\n", stderr);
		return 2;
	}
	return conclude(&a);
}
