/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose logs an instance reads, where their own lines tell: of one server, never of several. */
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/ledger/ledger.h"

#define POSITION "the server whose logs these are" /* in the ledger, in the place of a log's name */

/* Of each source; 0 while none of its lines has told. */
enum { OWN = 1, OTHER };

/* The name without its domain, in small letters: logs have it with and without. */
static bool host_label(struct mqw_slice name, char ret[64])
{
	size_t len = mqw_slice_chr(name, '.');

	if (len == 0 || len > 63)
		return false;
	for (size_t n = 0; n < len; n++) {
		char c = name.ptr[n];

		ret[n] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	ret[len] = '\0';
	return true;
}

/* The one that was followed before, or else this one from now on. */
static void settle_server(struct mqw_instance *i, const char *label)
{
	struct mqw_buffer kept = {0};

	if (mqw_ledger_get_position(i->host.ledger, i->act.name, POSITION, &kept) != 1 ||
		!host_label(mqw_buffer_slice(&kept), i->server)) {
		memcpy(i->server, label, strlen(label) + 1);
		/* Where it cannot be kept now the next start begins anew. */
		(void)mqw_ledger_put_position(
			i->host.ledger, i->act.name, POSITION, mqw_slice_of(label));
	}
	mqw_buffer_done(&kept);
}

static void say_servers(struct mqw_instance *i, uint32_t source, const char *label)
{
	struct mqw_buffer text = {0};

	if (i->said_servers)
		return;
	i->said_servers = true;
	mqw_buffer_add_printable(&text, mqw_slice_of(i->names[source]));
	mqw_buffer_add_str(&text, " is a log of the server ");
	mqw_buffer_add_printable(&text, mqw_slice_of(label));
	mqw_buffer_add_str(&text, ", and this instance follows ");
	mqw_buffer_add_printable(&text, mqw_slice_of(i->server));
	mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, i->act.name,
		"%s: an instance is one server, or messages of the one would pass for those of the "
		"other. What is in this log and in others of that server is not watched: make an "
		"instance for each server, each with a log: that matches its own files alone",
		mqw_buffer_str(&text));
	mqw_buffer_done(&text);
}

bool mqw_instance_is_of_other_server(
	struct mqw_instance *i, const struct mqw_line *line, uint32_t source)
{
	struct mqw_slice name;
	char label[64];

	if (source >= i->name_count)
		return false;
	if (i->servers[source])
		return i->servers[source] == OTHER;
	if (!i->act.probe->server(line, &name) || !host_label(name, label))
		return false;
	if (!i->server[0])
		settle_server(i, label);
	i->servers[source] = strcmp(label, i->server) == 0 ? OWN : OTHER;
	if (i->servers[source] == OTHER)
		say_servers(i, source, label);
	return i->servers[source] == OTHER;
}
