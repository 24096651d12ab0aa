/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/alerts/deliver.h"

#include <netdb.h>
#include <stdio.h>

void mqw_delivery_say(struct mqw_delivery *d, struct mqw_slice text)
{
	struct mqw_buffer b = {0};
	size_t n;

	mqw_buffer_add_printable(&b, text);
	n = b.len < sizeof(d->text) ? b.len : sizeof(d->text) - 1;
	while (n > 0 && n < b.len && ((unsigned char)b.ptr[n] & 0xc0) == 0x80)
		n--;
	if (n)
		memcpy(d->text, b.ptr, n);
	d->text[n] = '\0';
	mqw_buffer_done(&b);
}

bool mqw_alert_is_own_host(const struct mqw_alert_config *c)
{
	char name[MQW_NOTICE_HOST_MAX + 1];
	struct mqw_slice host = mqw_alert_host(c), own, label = host;

	mqw_notice_host(name);
	own = mqw_slice_of(name);
	/* A name without a domain is compared by its first label. */
	if (mqw_slice_chr(own, '.') == own.len)
		label = mqw_slice_head(host, mqw_slice_chr(host, '.'));
	return mqw_alert_is_loopback(c) || (host.len && mqw_slice_eq_nocase(label, own));
}

/* As hostname -f does. */
void mqw_deliver_full_host(char ret[MQW_NOTICE_HOST_MAX + 1])
{
	const struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	const char *name;
	size_t n;

	mqw_notice_host(ret);
	if (strchr(ret, '.') || getaddrinfo(ret, NULL, &hints, &found) != 0)
		return;
	name = found->ai_canonname ? found->ai_canonname : "";
	n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
	if (n > strlen(ret) && !name[n] && n <= MQW_NOTICE_HOST_MAX && strchr(name, '.') &&
		name[0] != '.' && name[n - 1] != '.')
		memcpy(ret, name, n + 1);
	freeaddrinfo(found);
}

void mqw_deliver(const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *ret)
{
	*ret = (struct mqw_delivery){0};
	switch (c->channel) {
	case MQW_CHANNEL_EMAIL:
		mqw_deliver_mail(c, notice, ret);
		return;
	case MQW_CHANNEL_WEBHOOK:
		mqw_deliver_webhook(c, notice, ret);
		return;
	case MQW_CHANNEL_COMMAND:
		mqw_deliver_command(c, notice, ret);
		return;
	case MQW_CHANNEL_JOURNAL:
		break;
	}
	mqw_delivery_say(ret, MQW_LIT("nothing is sent over this channel"));
}

static void show_mail(struct mqw_buffer *b, const struct mqw_alert_config *c, const json_t *notice)
{
	char host[MQW_NOTICE_HOST_MAX + 1];
	struct mqw_buffer mail = {0};
	struct mqw_slice rest, line;

	mqw_deliver_full_host(host);
	mqw_buffer_printf(b, "mail via %s\nMAIL FROM:<%s>\n", c->via, c->from ? c->from : "");
	for (size_t i = 0; i < c->email_count; i++)
		mqw_buffer_printf(b, "RCPT TO:<%s>\n", c->email[i]);
	mqw_buffer_add_str(b, "\n");
	mqw_notice_add_mail(&mail, notice, c, host);
	rest = mqw_buffer_slice(&mail);
	while (mqw_slice_take_until(&rest, '\n', &line)) {
		mqw_buffer_add(b, mqw_slice_head(line, line.len - 1)); /* the CR */
		mqw_buffer_add_str(b, "\n");
	}
	mqw_buffer_done(&mail);
}

static void show_webhook(
	struct mqw_buffer *b, const struct mqw_alert_config *c, const json_t *notice)
{
	struct mqw_slice token = mqw_notice_text(notice, "id");

	mqw_buffer_printf(b, "POST %s\nContent-Type: application/json\nIdempotency-Key: %.*s\n\n",
		c->webhook, (int)token.len, token.ptr);
	mqw_notice_add_body(b, notice, c);
	mqw_buffer_add_str(b, "\n");
}

void mqw_deliver_show(struct mqw_buffer *b, const struct mqw_alert_config *c, const json_t *notice)
{
	if (c->channel == MQW_CHANNEL_EMAIL) {
		show_mail(b, c, notice);
	} else if (c->channel == MQW_CHANNEL_WEBHOOK) {
		show_webhook(b, c, notice);
	} else if (c->channel == MQW_CHANNEL_COMMAND) {
		mqw_buffer_add_str(b, "command");
		for (const char *const *arg = c->command; *arg; arg++) {
			mqw_buffer_add_str(b, " \"");
			mqw_buffer_add_printable(b, mqw_slice_of(*arg));
			mqw_buffer_add_str(b, "\"");
		}
		mqw_buffer_add_str(b, "\nwith this on its standard input:\n\n");
		mqw_notice_add_body(b, notice, c);
		mqw_buffer_add_str(b, "\n");
	}
}
