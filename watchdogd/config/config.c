/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>

#include "watchdogd/base/share_url.h"
#include "watchdogd/base/zone.h"
#include "watchdogd/config/internal.h"
#include "watchdogd/config/read.h"
#include "watchdogd/config/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define INSTANCES_MAX 64
/* The helper's frames have 64 bytes for it, with the NUL. */
#define NAME_MAX_LEN 63

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whether s is 1 to max bytes of letters, digits and those in extra. */
static bool made_of(struct mqw_slice s, const char *extra, size_t max)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.ptr[i]) && !strchr(extra, s.ptr[i]))
			return false;
	return s.len >= 1 && s.len <= max;
}

const char *mqw_config_check_name(struct mqw_slice s)
{
	return made_of(s, "-_", NAME_MAX_LEN) ? NULL : "a name of 1 to 63 letters, digits, - and _";
}

static bool is_path(struct mqw_slice s, size_t max)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return s.len >= 1 && s.len <= max && s.ptr[0] == '/';
}

const char *mqw_config_check_path(struct mqw_slice s)
{
	return is_path(s, 4095) ? NULL : "an absolute path";
}

static const char *check_socket(struct mqw_slice s)
{
	return is_path(s, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
		? NULL
		: "an absolute path of at most 107 bytes";
}

static const char *check_log(struct mqw_slice s)
{
	struct mqw_share_url url;

	if (mqw_share_url_is(s))
		return mqw_share_url_parse(s, &url);
	return mqw_slice_eq(s, MQW_LIT("journal")) || is_path(s, 4095)
		? NULL
		: "\"journal\", an absolute path or glob, or smb://HOST/SHARE/...";
}

static const char *check_queue(struct mqw_slice s)
{
	struct mqw_share_url url;

	if (!mqw_share_url_is(s))
		return mqw_config_check_path(s) ? "an absolute path, or smb://HOST/SHARE/FOLDER"
						: NULL;
	if (mqw_slice_chr(s, '*') < s.len || mqw_slice_chr(s, '?') < s.len)
		return "smb://HOST/SHARE/FOLDER without a pattern";
	return mqw_share_url_parse(s, &url);
}

/* The names that useradd(8) and systemd take. */
static const char *check_group(struct mqw_slice s)
{
	return made_of(s, "-_.", 31) && s.ptr[0] != '-' ? NULL : "the name of a group";
}

/* The characters of systemd.unit(5); "\" stands in escaped names. */
static const char *check_unit(struct mqw_slice s)
{
	if (!made_of(s, ":-_.\\@", 255) || !mqw_slice_ends(s, MQW_LIT(".service")) ||
		s.len == sizeof(".service") - 1 || s.ptr[0] == '@')
		return "a unit name that ends in .service";
	return mqw_slice_ends(s, MQW_LIT("@.service"))
		? "a unit that can be restarted: a template needs its instance, as x@NAME.service"
		: NULL;
}

/* Windows allows more in the name of a service; what mail servers have is this. */
static const char *check_windows_service(struct mqw_slice s)
{
	return made_of(s, "-_.$", 80) && s.ptr[0] != '-'
		? NULL
		: "the name of a Windows service, as SMTPSVC or MSExchangeTransport";
}

static const char *check_host(struct mqw_slice s)
{
	return mqw_share_url_is_host(s) ? NULL : "the name or the IPv4 address of a host";
}

static const char *check_credentials(struct mqw_slice s)
{
	return is_path(s, 4095) || (made_of(s, "-_.", 255) && s.ptr[0] != '.')
		? NULL
		: "an absolute path, or the name of a credential of systemd";
}

static const char *check_hop(struct mqw_slice s)
{
	return mqw_slice_chr(s, ' ') == s.len && s.len <= 255 ? NULL : "a host name or an address";
}

/* NT1 is the only one that Windows 2003 and older know. */
static const char *check_protocol(struct mqw_slice s)
{
	return mqw_slice_eq(s, MQW_LIT("NT1")) || mqw_slice_eq(s, MQW_LIT("SMB2")) ||
			mqw_slice_eq(s, MQW_LIT("SMB3"))
		? NULL
		: "NT1, SMB2 or SMB3";
}

static const char *check_zone(struct mqw_slice s)
{
	return mqw_zone_is_known(s) ? NULL : "a time zone of this host, as Europe/Berlin or UTC";
}

static const char *const mode_words[] = {"observe", "act", NULL};
static const char *const keep_words[] = {"none", "deferred", "all", NULL};
static const char *const flush_words[] = {"never", "each", NULL};

#define INSTANCE(member) offsetof(struct mqw_instance_config, member)
#define ANY_SPAN MQW_SECOND, 365 * MQW_DAY

static const struct mqw_field instance_fields[] = {
	{"name", MQW_FIELD_TEXT, true, INSTANCE(name), .check = mqw_config_check_name},
	{"type", MQW_FIELD_TEXT, true, INSTANCE(type), .check = mqw_config_check_name},
	{"log", MQW_FIELD_TEXTS, false, INSTANCE(logs), INSTANCE(log_count), .check = check_log},
	{"queue", MQW_FIELD_TEXT, false, INSTANCE(queue), .check = check_queue},
	{"config_dir", MQW_FIELD_TEXT, false, INSTANCE(config_dir), .check = mqw_config_check_path},
	{"service", MQW_FIELD_TEXT, false, INSTANCE(service), .check = NULL},
	{"host", MQW_FIELD_TEXT, false, INSTANCE(host), .check = check_host},
	{"credentials", MQW_FIELD_TEXT, false, INSTANCE(credentials), .check = check_credentials},
	{"restart_credentials", MQW_FIELD_TEXT, false, INSTANCE(restart_credentials),
		.check = check_credentials},
	{"smb_min_protocol", MQW_FIELD_TEXT, false, INSTANCE(smb_min_protocol),
		.check = check_protocol},
	{"restart_command", MQW_FIELD_TEXTS, false, INSTANCE(restart_command), SIZE_MAX,
		.check = NULL},
	{"next_hops", MQW_FIELD_TEXTS, false, INSTANCE(next_hops), INSTANCE(next_hop_count),
		.check = check_hop},
	{"lifetime", MQW_FIELD_SPAN, false, INSTANCE(lifetime), 0, ANY_SPAN, .fallback = NULL},
	{"retry_max", MQW_FIELD_SPAN, false, INSTANCE(retry_max), 0, MQW_MINUTE, 365 * MQW_DAY,
		.fallback = NULL},
	{"min_lifetime", MQW_FIELD_SPAN, false, INSTANCE(min_lifetime), 0, ANY_SPAN,
		.fallback = "4h"},
	{"slack", MQW_FIELD_SPAN, false, INSTANCE(slack), 0, ANY_SPAN, .fallback = "2h"},
	{"tell_sender", MQW_FIELD_FLAG, false, INSTANCE(tell_sender), .fallback = "false"},
	{"tell_sender_via", MQW_FIELD_TEXT, false, INSTANCE(tell_sender_via),
		.check = mqw_config_check_relay, .fallback = "smtp://127.0.0.1:25"},
};

#define VAULT(member) offsetof(struct mqw_config, vault.member)

static const struct mqw_field vault_fields[] = {
	{"keep", MQW_FIELD_WORD, false, VAULT(keep), .words = keep_words, .fallback = "deferred"},
	{"size", MQW_FIELD_SIZE, false, VAULT(size), 0, 1024 * 1024, INT64_C(1) << 50,
		.fallback = "2G"},
	{"age", MQW_FIELD_SPAN, false, VAULT(age), 0, MQW_MINUTE, 365 * MQW_DAY, .fallback = "7d"},
	{"fsync", MQW_FIELD_WORD, false, VAULT(flush), .words = flush_words, .fallback = "never"},
};

/* What the root of the file holds; parts with a structure of their own are read one by one. */
struct top {
	uint32_t version;
	enum mqw_mode mode;
	const struct mqw_yaml_node *instances, *vault, *alerts, *rules;
	const char *timezone;
	const char *state_directory, *control_socket, *helper_socket, *operators;
};

#define TOP(member) offsetof(struct top, member)

static const struct mqw_field top_fields[] = {
	{"version", MQW_FIELD_NUMBER, true, TOP(version), .min = 1, .max = 1},
	{"mode", MQW_FIELD_WORD, false, TOP(mode), .words = mode_words, .fallback = "observe"},
	{"instances", MQW_FIELD_NODE, true, .offset = TOP(instances)},
	{"vault", MQW_FIELD_NODE, false, .offset = TOP(vault)},
	{"alerts", MQW_FIELD_NODE, false, .offset = TOP(alerts)},
	{"rules", MQW_FIELD_NODE, false, .offset = TOP(rules)},
	{"timezone", MQW_FIELD_TEXT, false, TOP(timezone), .check = check_zone},
	{"state_directory", MQW_FIELD_TEXT, false, TOP(state_directory),
		.check = mqw_config_check_path, .fallback = MQW_STATE_DIRECTORY},
	{"control_socket", MQW_FIELD_TEXT, false, TOP(control_socket), .check = check_socket,
		.fallback = MQW_CONTROL_SOCKET},
	{"operators", MQW_FIELD_TEXT, false, TOP(operators), .check = check_group},
	{"helper_socket", MQW_FIELD_TEXT, false, TOP(helper_socket), .check = check_socket,
		.fallback = MQW_HELPER_SOCKET},
};

/* The host of a text that is a share's URL; empty when it is none. */
static struct mqw_slice host_of(const char *text)
{
	struct mqw_share_url url;

	if (!text || !mqw_share_url_is(mqw_slice_of(text)) ||
		mqw_share_url_parse(mqw_slice_of(text), &url))
		return MQW_SLICE_NULL;
	return url.host;
}

/* The host of the first log on a share, or else of the queue; empty when none is. */
static struct mqw_slice share_host(const struct mqw_instance_config *in)
{
	for (size_t i = 0; i < in->log_count; i++)
		if (host_of(in->logs[i]).len)
			return host_of(in->logs[i]);
	return host_of(in->queue);
}

/* The host of logs on a share is the one whose service is restarted, unless another is named. */
static int settle_host(struct mqw_config *c, struct mqw_instance_config *in)
{
	struct mqw_slice host = share_host(in);

	if (!in->host && host.len) {
		in->host = mqw_arena_strdup(&c->arena, host);
		if (!in->host)
			return -ENOMEM;
	}
	if (!in->restart_credentials)
		in->restart_credentials = in->credentials;
	return 0;
}

/* Whether it says that another host is watched, be it in a way that is faulty. */
static bool means_other_host(const struct mqw_yaml_node *map)
{
	const struct mqw_yaml_node *log = mqw_yaml_get(map, MQW_LIT("log")),
				   *queue = mqw_yaml_get(map, MQW_LIT("queue"));

	if (mqw_yaml_get(map, MQW_LIT("host")) || (queue && mqw_share_url_is(queue->text)) ||
		(log && mqw_share_url_is(log->text)))
		return true;
	for (const struct mqw_yaml_node *n = log ? log->first : NULL; n; n = n->next)
		if (mqw_share_url_is(n->text))
			return true;
	return false;
}

/* Shares of several servers are several instances: their messages would be mixed up. */
static void check_one_host(
	const struct mqw_instance_config *in, const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	struct mqw_slice host = share_host(in);
	struct mqw_share_url url;

	if (!n || !host.len || !mqw_share_url_is(n->text) || mqw_share_url_parse(n->text, &url) ||
		mqw_slice_eq_nocase(url.host, host))
		return;
	mqw_faults_add(f, n->line, n->column,
		"the instance has a share on the host %.*s, and %.*s is another: make an instance "
		"for each server",
		(int)host.len, host.ptr, (int)url.host.len, url.host.ptr);
}

/* Keys that have no use without another host. */
static void check_remote(
	const struct mqw_instance_config *in, const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	static const char *const keys[] = {
		"credentials", "restart_credentials", "smb_min_protocol"};
	bool remote = means_other_host(map);
	const struct mqw_yaml_node *n = mqw_yaml_get(map, MQW_LIT("log"));
	const char *allowed;

	if (in->log_count > MQW_CONFIG_LOGS_MAX)
		mqw_faults_add(f, n->line, n->column, "log: %zu of them; allowed are %d",
			in->log_count, MQW_CONFIG_LOGS_MAX);
	check_one_host(in, n, f);
	for (const struct mqw_yaml_node *log = n ? n->first : NULL; log; log = log->next)
		check_one_host(in, log, f);
	check_one_host(in, mqw_yaml_get(map, MQW_LIT("queue")), f);
	for (size_t i = 0; !remote && i < COUNT(keys); i++) {
		n = mqw_yaml_get(map, mqw_slice_of(keys[i]));
		if (n)
			mqw_faults_add(f, n->key_line, n->key_column,
				"%s: of no use without host: or a log: or queue: smb://...",
				keys[i]);
	}
	if (in->host && !in->credentials && (share_host(in).len || !in->restart_command))
		mqw_faults_add(f, map->line, map->column,
			"an instance on another host needs the key \"credentials\"");
	n = mqw_yaml_get(map, MQW_LIT("service"));
	allowed = !n || !in->service ? NULL
		: in->host           ? check_windows_service(n->text)
				     : check_unit(n->text);
	if (allowed)
		mqw_schema_reject(f, n, "service", allowed);
}

/* The node of a key of the instance, for faults that the tables cannot see. */
static void check_instance(const struct mqw_config *c, const struct mqw_instance_config *in,
	const struct mqw_yaml_node *map, struct mqw_faults *f)
{
	const struct mqw_yaml_node *n = mqw_yaml_get(map, MQW_LIT("restart_command"));

	if (n && in->restart_command && in->restart_command[0] && in->restart_command[0][0] != '/')
		mqw_faults_add(f, n->line, n->column,
			"restart_command: %s is not an absolute path to a program",
			mqw_show(mqw_slice_of(in->restart_command[0])).text);
	if (n && in->service)
		mqw_faults_add(f, n->key_line, n->key_column,
			"restart_command and service exclude each other");
	n = mqw_yaml_get(map, MQW_LIT("tell_sender_via"));
	if (n && !in->tell_sender)
		mqw_faults_add(f, n->key_line, n->key_column,
			"tell_sender_via: nobody is told anything without tell_sender: true");
	n = mqw_yaml_get(map, MQW_LIT("name"));
	for (const struct mqw_instance_config *other = c->instances; in->name && other < in;
		other++)
		if (other->name && strcmp(other->name, in->name) == 0) {
			mqw_faults_add(f, n->line, n->column,
				"name: \"%s\" is taken by the instance at %zu:%zu", in->name,
				other->line, other->column);
			break;
		}
}

static int read_instances(
	struct mqw_config *c, const struct mqw_yaml_node *list, struct mqw_faults *f)
{
	if (!mqw_schema_expect(list, MQW_YAML_LIST, "instances", f))
		return 0;
	if (list->count == 0 || list->count > INSTANCES_MAX) {
		mqw_faults_add(f, list->line, list->column,
			"instances: %zu of them; allowed are 1 to %d", list->count, INSTANCES_MAX);
		return 0;
	}
	c->instances = mqw_arena_array(&c->arena, list->count, sizeof(*c->instances));
	if (!c->instances)
		return -ENOMEM;
	for (const struct mqw_yaml_node *n = list->first; n; n = n->next) {
		struct mqw_instance_config *in = &c->instances[c->instance_count];
		int err;

		if (!mqw_schema_expect(n, MQW_YAML_MAP, "an instance", f))
			continue;
		in->line = n->line;
		in->column = n->column;
		err = mqw_schema_read(&c->arena, n, "an instance", instance_fields,
			COUNT(instance_fields), in, f);
		if (err < 0)
			return err;
		err = settle_host(c, in);
		if (err < 0)
			return err;
		check_remote(in, n, f);
		check_instance(c, in, n, f);
		c->instance_count++;
	}
	return 0;
}

static int read_root(struct mqw_config *c, const struct mqw_yaml_node *root, struct mqw_faults *f)
{
	static const struct mqw_yaml_node no_vault = {.kind = MQW_YAML_MAP};
	struct top top = {0};
	int err = mqw_schema_read(
		&c->arena, root, "the configuration", top_fields, COUNT(top_fields), &top, f);

	c->mode = top.mode;
	c->timezone = top.timezone;
	c->state_directory = top.state_directory;
	c->control_socket = top.control_socket;
	c->helper_socket = top.helper_socket;
	c->operators = top.operators;
	/* `rules:` with all of them commented out is none. */
	if (top.rules && !mqw_yaml_is_empty(top.rules))
		c->rules = top.rules;
	if (!top.vault || !mqw_schema_expect(top.vault, MQW_YAML_MAP, "vault", f))
		top.vault = &no_vault;
	if (err == 0)
		err = mqw_schema_read(
			&c->arena, top.vault, "the vault", vault_fields, COUNT(vault_fields), c, f);
	if (err == 0 && top.instances)
		err = read_instances(c, top.instances, f);
	if (err == 0 && top.alerts && !mqw_yaml_is_empty(top.alerts))
		err = mqw_config_read_alerts(c, top.alerts, f);
	return err;
}

int mqw_config_read(
	struct mqw_slice text, const char *path, struct mqw_config **ret, struct mqw_faults *f)
{
	struct mqw_config *c = calloc(1, sizeof(*c));
	struct mqw_yaml_node *root = NULL;
	int err;

	if (!c)
		return -ENOMEM;
	c->path = mqw_arena_strdup(&c->arena, mqw_slice_of(path));
	err = c->path ? mqw_yaml_parse(&c->arena, text, &root, f) : -ENOMEM;
	if (err == 0 && !root)
		mqw_faults_add(f, 1, 1, "is empty; at least version and instances are needed");
	else if (err == 0 && mqw_schema_expect(root, MQW_YAML_MAP, "the configuration", f))
		err = read_root(c, root, f);
	if (err < 0)
		mqw_config_free(c);
	else
		*ret = c;
	return err;
}

int mqw_config_parse(
	struct mqw_slice text, const char *path, struct mqw_config **ret, struct mqw_diag *reterr)
{
	struct mqw_faults f = {0};
	struct mqw_config *c = NULL;
	int err = mqw_config_read(text, path, &c, &f);

	if (err == 0 && f.failed)
		err = -ENOMEM;
	else if (err == 0 && f.count)
		err = -EINVAL;
	mqw_faults_flush(&f, path, reterr);
	if (err < 0)
		mqw_config_free(c);
	else
		*ret = c;
	return err;
}

int mqw_config_load(const char *path, struct mqw_config **ret, struct mqw_diag *reterr)
{
	struct mqw_faults f = {0};
	struct mqw_buffer text = {0};
	int err = mqw_config_file_read(path, &text, &f);

	mqw_faults_flush(&f, path, reterr);
	if (err == 0)
		err = mqw_config_parse(mqw_buffer_slice(&text), path, ret, reterr);
	mqw_buffer_done(&text);
	return err;
}

struct mqw_config *mqw_config_free(struct mqw_config *c)
{
	if (c)
		mqw_arena_done(&c->arena);
	free(c);
	return NULL;
}

const struct mqw_instance_config *mqw_config_instance(
	const struct mqw_config *c, struct mqw_slice name)
{
	for (size_t i = 0; i < c->instance_count; i++)
		if (c->instances[i].name && mqw_slice_eq(name, mqw_slice_of(c->instances[i].name)))
			return &c->instances[i];
	return NULL;
}

const struct mqw_alert_config *mqw_config_alert(const struct mqw_config *c, struct mqw_slice name)
{
	for (size_t i = 0; i < c->alert_count; i++)
		if (mqw_slice_eq(name, mqw_slice_of(c->alerts[i].name)))
			return &c->alerts[i];
	return NULL;
}
