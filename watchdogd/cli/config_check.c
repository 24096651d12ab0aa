/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "probes/check.h"
#include "probes/probe.h"
#include "rules/rules.h"
#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/cli/commands.h"
#include "watchdogd/helper/service.h"

static void print_help(FILE *to)
{
	fputs("usage: mailq-watchdog config check [--quiet] [FILE]\n\n"
	      "Reads the configuration (default " MQW_CONFIG_PATH ") and its rules,\n"
	      "and prints all faults at once, each FILE:LINE:COLUMN: MESSAGE. Without faults it\n"
	      "prints what was understood, the rules in plain words, and warns of units that\n"
	      "systemd on this host would not restart.\n\n"
	      "Exit status: 0 no fault, 2 faults, usage, or the file could not be read.\n",
		to);
}

/* What `restart` restarts: a program is run, a unit, or the first of these that another host has. */
static void add_service(struct mqw_buffer *b, const struct mqw_instance_config *in,
	const struct mqw_probe_ops *probe)
{
	const char *const *usual = probe->windows_services;

	mqw_buffer_add_str(b, in->restart_command ? ", restarted by " : ", service ");
	if (in->restart_command || in->service)
		mqw_buffer_add_printable(b,
			mqw_slice_of(in->restart_command ? in->restart_command[0] : in->service));
	else if (!in->host)
		mqw_buffer_add_printable(b, mqw_slice_of(probe->default_unit));
	for (; !in->restart_command && !in->service && in->host && usual && *usual; usual++)
		mqw_buffer_printf(b, "%s%s", *usual, usual[1] ? " or " : "");
	if (in->host)
		mqw_buffer_printf(b, " on %s", in->host);
}

static void add_instance(struct mqw_buffer *b, const struct mqw_instance_config *in)
{
	const struct mqw_probe_ops *probe = mqw_probe_find(mqw_slice_of(in->type));

	mqw_buffer_printf(b, "instance %s: %s, log ", in->name, in->type);
	for (size_t i = 0; i < in->log_count; i++) {
		mqw_buffer_add_str(b, i ? " and " : "");
		mqw_buffer_add_printable(b, mqw_slice_of(in->logs[i]));
	}
	if (!in->log_count)
		mqw_buffer_add_printable(b, mqw_slice_of(probe->default_log));
	mqw_buffer_add_str(b, in->log_count ? ", queue " : " (its usual place), queue ");
	mqw_buffer_add_printable(b, mqw_slice_of(in->queue ? in->queue : "as the MTA says"));
	add_service(b, in, probe);
	mqw_buffer_add_str(b, ", lifetime ");
	if (in->lifetime)
		mqw_span_format(b, in->lifetime);
	else
		mqw_buffer_add_str(b, "as the MTA says");
	mqw_buffer_add_str(b, ", least lifetime ");
	mqw_span_format(b, in->min_lifetime);
	mqw_buffer_add_str(b, ", slack ");
	mqw_span_format(b, in->slack);
	mqw_buffer_add_str(b, "\n");
}

static void add_alert(struct mqw_buffer *b, const struct mqw_alert_config *a)
{
	mqw_buffer_printf(b, "alert %s: %s", a->name, mqw_channel_name(a->channel));
	for (size_t i = 0; i < a->email_count; i++)
		mqw_buffer_printf(b, "%s%s", i ? ", " : " to ", a->email[i]);
	if (a->via)
		mqw_buffer_printf(b, ", via %s, %s", a->via,
			a->tls == MQW_TLS_REQUIRED       ? "TLS required and checked"
				: a->tls == MQW_TLS_NONE ? "no TLS"
							 : "TLS if offered");
	if (a->webhook)
		mqw_buffer_printf(b, " to %s", a->webhook);
	if (a->ca_file)
		mqw_buffer_printf(b, ", by the CAs in %s", a->ca_file);
	if (a->command) {
		mqw_buffer_add_str(b, " ");
		mqw_buffer_add_printable(b, mqw_slice_of(a->command[0]));
	}
	mqw_buffer_add_str(b, a->channel == MQW_CHANNEL_JOURNAL ? "\n" : ", and the journal\n");
	if (a->via && mqw_alert_is_own_host(a))
		mqw_buffer_printf(b,
			"  warning: the relay of %s is this host: when its mail service is the "
			"patient, the alert about it waits in the same queue\n",
			a->name);
}

static void add_summary(struct mqw_buffer *b, const struct mqw_config *c, const struct mqw_rules *r)
{
	size_t count = mqw_rules_count(r);

	mqw_buffer_add_printable(b, mqw_slice_of(c->path));
	mqw_buffer_printf(b, ": no fault\nmode %s\n",
		c->mode == MQW_MODE_ACT ? "act: actions are done"
					: "observe: actions are only said, none is done");
	for (size_t i = 0; i < c->instance_count; i++)
		add_instance(b, &c->instances[i]);
	for (size_t i = 0; i < c->alert_count; i++)
		add_alert(b, &c->alerts[i]);
	mqw_buffer_add_str(b, count ? "" : "no rules: verdicts are kept, nothing is done\n");
	for (size_t i = 0; i < count; i++) {
		const struct mqw_rule *rule = mqw_rules_get(r, i);

		mqw_buffer_add_str(b, "rule \"");
		mqw_buffer_add_printable(b, mqw_slice_of(mqw_rule_name(rule)));
		mqw_buffer_add_str(b, "\"\n");
		mqw_rule_explain(rule, b);
	}
}

/* What `restart` would meet with, as this host is now. */
static void add_warning(struct mqw_buffer *b, sd_bus *bus, const struct mqw_instance_config *in)
{
	const char *usual = mqw_probe_find(mqw_slice_of(in->type))->default_unit;
	struct mqw_buffer why = {0};
	char unit[256];

	if (in->restart_command || in->host)
		return;
	if (mqw_service_find(bus, in->service, usual, unit, sizeof(unit), &why) > 0)
		mqw_service_advise(bus, unit, usual, &why);
	if (why.len) {
		mqw_buffer_printf(b, "warning: instance %s: no restart as things are: ", in->name);
		mqw_buffer_add_printable(b, mqw_buffer_slice(&why));
		mqw_buffer_add_str(b, "\n");
	}
	mqw_buffer_done(&why);
}

/* The file may have been written for another host: nothing of this is a fault of it. */
static void add_warnings(struct mqw_buffer *b, const struct mqw_config *c)
{
	sd_bus *bus = NULL;
	int r = mqw_service_open(&bus);

	if (r < 0)
		mqw_buffer_printf(b,
			"units not looked at: systemd cannot be reached here (%s); without it "
			"restart needs restart_command:\n",
			strerror(-r));
	for (size_t i = 0; r == 0 && i < c->instance_count; i++)
		add_warning(b, bus, &c->instances[i]);
	sd_bus_flush_close_unref(bus);
}

static int check_file(const char *path)
{
	struct mqw_config *c = NULL;
	struct mqw_rules *r = NULL;
	struct mqw_diag d = {0};
	struct mqw_buffer out = {0};
	int err = mqw_rules_load_file(path, mqw_probes_check, &c, &r, &d);

	fputs(mqw_buffer_str(&d.text), stderr);
	if (d.count > MQW_DIAG_MAX)
		fprintf(stderr, "and %zu more\n", d.count - MQW_DIAG_MAX);
	if (err < 0 && d.count == 0)
		fprintf(stderr, "mailq-watchdog: %s\n", strerror(-err));
	if (err == 0)
		add_summary(&out, c, r);
	if (err == 0)
		add_warnings(&out, c);
	fputs(mqw_buffer_str(&out), stdout);
	if (fflush(stdout) != 0 || out.failed) {
		fputs("mailq-watchdog: the output could not be written\n", stderr);
		err = -1;
	}
	mqw_buffer_done(&out);
	mqw_diag_done(&d);
	mqw_rules_free(r);
	mqw_config_free(c);
	return err < 0 ? 2 : 0;
}

int mqw_cli_config_check(int argc, char **argv)
{
	int i = 1;

	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help(stdout);
		return 0;
	}
	/* For scripts and `systemctl reload`, who want the faults alone. */
	if (i < argc && !strcmp(argv[i], "--quiet")) {
		if (!freopen("/dev/null", "w", stdout))
			return 2;
		i++;
	}
	if (i < argc && !strcmp(argv[i], "--"))
		i++;
	else if (i < argc && argv[i][0] == '-' && argv[i][1]) {
		fprintf(stderr, "mailq-watchdog: config check has no option '%s'\n", argv[i]);
		i = argc + 2;
	}
	if (argc - i > 1 || i > argc) {
		print_help(stderr);
		return 2;
	}
	return check_file(i < argc ? argv[i] : MQW_CONFIG_PATH);
}
