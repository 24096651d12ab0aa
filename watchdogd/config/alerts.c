/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part `alerts:` of the configuration: where alerts go besides the journal. */
#include <errno.h>

#include "watchdogd/config/internal.h"
#include "watchdogd/config/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALERTS_MAX 64
#define RECIPIENTS_MAX 50

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool all_of(struct mqw_slice s, const char *extra)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.ptr[i]) && !strchr(extra, s.ptr[i]))
			return false;
	return s.len > 0;
}

/* RFC 5321 without quoted local parts and literals: nothing that a header or a command could obey. */
static const char *check_address(struct mqw_slice s)
{
	struct mqw_slice domain = s, local;

	if (s.len <= 254 && mqw_slice_take_until(&domain, '@', &local) && local.len <= 64 &&
		all_of(local, "!#$%&'*+-/=?^_`{|}~.") && all_of(domain, "-.") &&
		domain.ptr[0] != '.' && domain.ptr[0] != '-' && domain.ptr[domain.len - 1] != '.')
		return NULL;
	return "a mail address such as postmaster@example.com";
}

/* "host", "host:port" or "[::1]:port"; *ret_host without brackets. */
static bool take_host_port(struct mqw_slice s, struct mqw_slice *ret_host)
{
	struct mqw_slice rest = s;
	uint64_t port = 1;
	bool good;

	if (s.len && s.ptr[0] == '[') {
		rest = mqw_slice_from(s, 1);
		good = mqw_slice_take_until(&rest, ']', ret_host) && all_of(*ret_host, ":.");
	} else {
		*ret_host = mqw_slice_head(s, mqw_slice_chr(s, ':'));
		rest = mqw_slice_from(s, ret_host->len);
		good = all_of(*ret_host, "-._") && ret_host->ptr[0] != '-';
	}
	if (good && rest.len)
		good = mqw_slice_skip(&rest, MQW_LIT(":")) && mqw_slice_take_u64(&rest, &port) &&
			rest.len == 0;
	return good && s.len <= 255 && port >= 1 && port <= 65535;
}

static struct mqw_slice host_of(struct mqw_slice url)
{
	struct mqw_slice host = MQW_SLICE_NULL;
	size_t at = mqw_slice_find(url, MQW_LIT("://"));

	url = mqw_slice_from(url, at + 3);
	at = 0;
	while (at < url.len && !strchr("/?#", url.ptr[at]))
		at++;
	return take_host_port(mqw_slice_head(url, at), &host) ? host : MQW_SLICE_NULL;
}

struct mqw_slice mqw_alert_host(const struct mqw_alert_config *a)
{
	return host_of(mqw_slice_of(a->via ? a->via : a->webhook));
}

static bool is_loopback(const char *url)
{
	struct mqw_slice host = host_of(mqw_slice_of(url));

	return mqw_slice_eq_nocase(host, MQW_LIT("localhost")) ||
		mqw_slice_starts(host, MQW_LIT("127.")) || mqw_slice_eq(host, MQW_LIT("::1"));
}

bool mqw_alert_is_loopback(const struct mqw_alert_config *a)
{
	return is_loopback(a->via ? a->via : a->webhook);
}

static bool is_smtps(const char *via)
{
	return mqw_slice_starts(mqw_slice_of(via), MQW_LIT("smtps://"));
}

const char *mqw_config_check_relay(struct mqw_slice s)
{
	struct mqw_slice rest = s, host;

	if ((mqw_slice_skip(&rest, MQW_LIT("smtp://")) ||
		    mqw_slice_skip(&rest, MQW_LIT("smtps://"))) &&
		take_host_port(rest, &host))
		return NULL;
	return "a relay such as \"smtp://relay.example.com:25\" or \"smtps://relay.example.com\"";
}

static const char *check_webhook(struct mqw_slice s)
{
	bool known =
		mqw_slice_starts(s, MQW_LIT("https://")) || mqw_slice_starts(s, MQW_LIT("http://"));

	if (known && s.len <= 2048 && all_of(s, "-._~:/?#[]@!$&'()*+,;=%") && host_of(s).len)
		return NULL;
	return "an address such as \"https://alerts.example.com/hook\", without a password in it";
}

/* It becomes part of a path below a directory. */
static const char *check_credential(struct mqw_slice s)
{
	return all_of(s, "-_.") && s.len <= 255 && s.ptr[0] != '.'
		? NULL
		: "the name of a systemd credential";
}

static const char *const tls_words[] = {"required", "if_offered", "none", NULL};
static const char *const format_words[] = {"json", "alertmanager", NULL};

#define ALERT(member) offsetof(struct mqw_alert_config, member)

static const struct mqw_field alert_fields[] = {
	{"journal", MQW_FIELD_FLAG, false, ALERT(journal), .check = NULL},
	{"email", MQW_FIELD_TEXTS, false, ALERT(email), ALERT(email_count), .check = check_address},
	{"webhook", MQW_FIELD_TEXT, false, ALERT(webhook), .check = check_webhook},
	{"command", MQW_FIELD_TEXTS, false, ALERT(command), SIZE_MAX, .check = NULL},
	{"via", MQW_FIELD_TEXT, false, ALERT(via), .check = mqw_config_check_relay},
	{"from", MQW_FIELD_TEXT, false, ALERT(from), .check = check_address},
	{"tls", MQW_FIELD_WORD, false, ALERT(tls), .words = tls_words},
	{"ca_file", MQW_FIELD_TEXT, false, ALERT(ca_file), .check = mqw_config_check_path},
	{"user", MQW_FIELD_TEXT, false, ALERT(user), .check = NULL},
	{"password_file", MQW_FIELD_TEXT, false, ALERT(password_file),
		.check = mqw_config_check_path},
	{"format", MQW_FIELD_WORD, false, ALERT(format), .words = format_words},
	{"bearer_file", MQW_FIELD_TEXT, false, ALERT(bearer_file), .check = mqw_config_check_path},
	{"credential", MQW_FIELD_TEXT, false, ALERT(credential), .check = check_credential},
	{"timeout", MQW_FIELD_SPAN, false, ALERT(timeout), 0, MQW_SECOND, 5 * MQW_MINUTE,
		.fallback = "30s"},
};

/* Which option is of which channel; what stands here goes with no other one. */
static const struct {
	const char *option;
	const char *of[2];
} belongs[] = {
	{"via", {"email"}},
	{"from", {"email"}},
	{"tls", {"email"}},
	{"ca_file", {"email", "webhook"}},
	{"user", {"email"}},
	{"password_file", {"email"}},
	{"format", {"webhook"}},
	{"bearer_file", {"webhook"}},
	{"credential", {"email", "webhook"}},
	{"timeout", {NULL}},
};

static const char *const channel_words[] = {"journal", "email", "webhook", "command"};

const char *mqw_channel_name(enum mqw_channel channel)
{
	return channel_words[channel];
}

static const struct mqw_yaml_node *get(const struct mqw_yaml_node *map, const char *key)
{
	return mqw_yaml_get(map, mqw_slice_of(key));
}

/* Adds a fault about a key, at the key. */
#define KEY_FAULT(n, ...) mqw_faults_add(f, (n)->key_line, (n)->key_column, __VA_ARGS__)

/* One channel a name, so that each is sent, retried and counted for itself. */
static void find_channel(
	struct mqw_alert_config *a, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	for (int i = MQW_CHANNEL_EMAIL; i <= MQW_CHANNEL_COMMAND; i++) {
		const struct mqw_yaml_node *n = get(map, channel_words[i]);

		if (n && a->channel != MQW_CHANNEL_JOURNAL)
			KEY_FAULT(n,
				"%s and %s exclude each other: give each a name of its own, "
				"and name both in the rule",
				channel_words[a->channel], channel_words[i]);
		else if (n)
			a->channel = (enum mqw_channel)i;
	}
}

static void check_belongings(
	const struct mqw_alert_config *a, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	const char *channel = channel_words[a->channel];

	for (size_t i = 0; i < COUNT(belongs); i++) {
		const struct mqw_yaml_node *n = get(map, belongs[i].option);
		const char *const *of = belongs[i].of;

		if (!n || (!of[0] && a->channel != MQW_CHANNEL_JOURNAL) ||
			(of[0] && !strcmp(of[0], channel)) || (of[1] && !strcmp(of[1], channel)))
			continue;
		KEY_FAULT(n, "%s is an option of %s%s%s", belongs[i].option,
			of[0] ? of[0] : "email, webhook and command", of[1] ? " and " : "",
			of[1] ? of[1] : "");
	}
}

static void check_email(
	struct mqw_alert_config *a, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	const struct mqw_yaml_node *via = get(map, "via"), *tls = get(map, "tls");
	const struct mqw_yaml_node *ca = get(map, "ca_file");
	const struct mqw_yaml_node *secret = get(map, "password_file"), *user = get(map, "user");

	if (!via)
		KEY_FAULT(get(map, "email"),
			"email needs via: name a relay that is not the MTA that may be the "
			"patient, "
			"as via: \"smtp://relay.example.com:25\"");
	if (a->email_count > RECIPIENTS_MAX)
		KEY_FAULT(get(map, "email"), "email: %zu addresses; allowed are up to %d",
			a->email_count, RECIPIENTS_MAX);
	if (secret && a->credential)
		KEY_FAULT(secret, "password_file and credential exclude each other");
	secret = secret ? secret : get(map, "credential");
	if (user && !secret)
		KEY_FAULT(user, "user needs a password: password_file or credential");
	if (secret && !user)
		KEY_FAULT(secret, "a password needs a user");
	if (!a->via)
		return;
	if (a->tls == MQW_TLS_UNSET)
		a->tls = secret || ca || is_smtps(a->via) ? MQW_TLS_REQUIRED : MQW_TLS_IF_OFFERED;
	if (is_smtps(a->via) && a->tls == MQW_TLS_NONE)
		KEY_FAULT(tls, "tls: smtps:// is TLS from the first byte; use smtp:// without it");
	else if (secret && a->tls != MQW_TLS_REQUIRED && !is_loopback(a->via))
		KEY_FAULT(tls,
			"tls: a password goes over the network only with tls: required, which "
			"checks whom it is told to");
	else if (ca && a->tls != MQW_TLS_REQUIRED)
		KEY_FAULT(ca, "ca_file: the certificate is checked only with tls: required");
}

static void check_webhook_options(
	const struct mqw_alert_config *a, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	const struct mqw_yaml_node *secret = get(map, "bearer_file"), *ca = get(map, "ca_file");

	if (secret && a->credential)
		KEY_FAULT(secret, "bearer_file and credential exclude each other");
	secret = secret ? secret : get(map, "credential");
	if (secret && a->webhook &&
		mqw_slice_starts(mqw_slice_of(a->webhook), MQW_LIT("http://")) &&
		!is_loopback(a->webhook))
		KEY_FAULT(secret, "a bearer token goes over the network only with https://");
	if (ca && a->webhook && mqw_slice_starts(mqw_slice_of(a->webhook), MQW_LIT("http://")))
		KEY_FAULT(ca, "ca_file: http:// has no certificate to check; use https://");
}

static void check_command(
	const struct mqw_alert_config *a, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	const struct mqw_yaml_node *n = get(map, "command");

	if (a->command && a->command[0] && a->command[0][0] != '/')
		mqw_faults_add(f, n->line, n->column,
			"command: %s is not an absolute path to a program",
			mqw_show(mqw_slice_of(a->command[0])).text);
}

static int read_alert(struct mqw_config *c, struct mqw_alert_config *a,
	const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	size_t before = f->count;
	int err = mqw_schema_read(
		&c->arena, map, "an alert", alert_fields, COUNT(alert_fields), a, f);

	if (err < 0)
		return err;
	find_channel(a, map, f);
	check_belongings(a, map, f);
	if (a->channel == MQW_CHANNEL_EMAIL)
		check_email(a, map, f);
	else if (a->channel == MQW_CHANNEL_WEBHOOK)
		check_webhook_options(a, map, f);
	else if (a->channel == MQW_CHANNEL_COMMAND)
		check_command(a, map, f);
	else if (!a->journal && f->count == before)
		mqw_faults_add(f, map->line, map->column,
			"the alert \"%s\" has no channel: email, webhook, command, or journal: "
			"true",
			a->name);
	return 0;
}

int mqw_config_read_alerts(
	struct mqw_config *c, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	if (!mqw_schema_expect(map, MQW_YAML_MAP, "alerts", f))
		return 0;
	if (map->count > ALERTS_MAX) {
		mqw_faults_add(f, map->line, map->column,
			"alerts: %zu of them; allowed are up to %d", map->count, ALERTS_MAX);
		return 0;
	}
	c->alerts = mqw_arena_array(&c->arena, map->count, sizeof(*c->alerts));
	if (!c->alerts)
		return -ENOMEM;
	for (const struct mqw_yaml_node *n = map->first; n; n = n->next) {
		struct mqw_alert_config *alert = &c->alerts[c->alert_count++];
		const char *allowed = mqw_config_check_name(n->key);
		int err = 0;

		*alert = (struct mqw_alert_config){.name = n->key.ptr,
			.tls = MQW_TLS_UNSET,
			.line = n->key_line,
			.column = n->key_column};
		if (allowed)
			mqw_faults_add(f, n->key_line, n->key_column, "alerts: %s is not %s",
				mqw_show(n->key).text, allowed);
		else if (strcmp(alert->name, "journal") == 0)
			mqw_faults_add(f, n->key_line, n->key_column,
				"alerts: \"journal\" is always there; choose another name");
		if (mqw_schema_expect(n, MQW_YAML_MAP, "an alert", f))
			err = read_alert(c, alert, n, f);
		if (err < 0)
			return err;
	}
	return 0;
}
