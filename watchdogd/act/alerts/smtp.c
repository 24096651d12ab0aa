/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An alert by mail, handed to a relay over SMTP.
 *
 * The envelope sender is null unless `from` names one: a mail with the null sender is never
 * answered by a failure report (RFC 5321 section 4.5.5), so that an alert that cannot be delivered
 * makes no mail that could be lost in its turn and alerted about. It also passes a relay that asks
 * whether the sender's domain is there, which a host's own name often is not. Relays that want a
 * login often refuse it; for them there is `from`, whose mailbox a person reads.
 */
#include <curl/curl.h>
#include <stdio.h>

#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/act/alerts/tls.h"

#define REFUSED_MAX 300

/* What goes over the wire, as libcurl tells it line by line. */
struct dialogue {
	struct mqw_slice rest; /* of the mail */
	char recipient[260]; /* of the RCPT under way */
	struct mqw_buffer last; /* the last reply line */
	struct mqw_buffer complaint; /* the last one that says no */
	struct mqw_buffer refused; /* recipients that were, with the reply */
	bool over; /* what comes now is the farewell */
};

static size_t on_read(char *to, size_t size, size_t count, void *userdata)
{
	struct dialogue *g = userdata;
	struct mqw_slice part = mqw_slice_head(g->rest, size * count);

	if (part.len)
		memcpy(to, part.ptr, part.len);
	g->rest = mqw_slice_from(g->rest, part.len);
	return part.len;
}

static void on_command(struct dialogue *g, struct mqw_slice line)
{
	struct mqw_slice rest = line, address;

	g->recipient[0] = '\0';
	if (mqw_slice_skip(&rest, MQW_LIT("RCPT TO:<")) &&
		mqw_slice_take_until(&rest, '>', &address))
		snprintf(g->recipient, sizeof(g->recipient), "%.*s", (int)address.len, address.ptr);
}

static void on_reply(struct dialogue *g, struct mqw_slice line)
{
	while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	mqw_buffer_clear(&g->last);
	mqw_buffer_add(&g->last, mqw_slice_head(line, 300));
	if (line.len < 3 || (line.ptr[0] != '4' && line.ptr[0] != '5'))
		return;
	mqw_buffer_clear(&g->complaint);
	mqw_buffer_add(&g->complaint, mqw_slice_head(line, 300));
	/* The last line of the reply: "550 " and not "550-". */
	if (g->recipient[0] && (line.len < 4 || line.ptr[3] != '-') &&
		g->refused.len < REFUSED_MAX) {
		mqw_buffer_printf(&g->refused, "; <%s> was refused: ", g->recipient);
		mqw_buffer_add(&g->refused, mqw_slice_head(line, 120));
	}
}

static int on_debug(CURL *curl, curl_infotype type, char *data, size_t size, void *userdata)
{
	struct dialogue *g = userdata;

	(void)curl;
	if (g->over)
		return 0;
	if (type == CURLINFO_HEADER_OUT)
		on_command(g, mqw_slice(data, size));
	else if (type == CURLINFO_HEADER_IN)
		on_reply(g, mqw_slice(data, size));
	return 0;
}

static void set_tls(CURL *curl, const struct mqw_alert_config *c)
{
	long checked = c->tls == MQW_TLS_REQUIRED;

	curl_easy_setopt(curl, CURLOPT_USE_SSL,
		(long)(c->tls == MQW_TLS_REQUIRED        ? CURLUSESSL_ALL
				: c->tls == MQW_TLS_NONE ? CURLUSESSL_NONE
							 : CURLUSESSL_TRY));
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, checked);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, checked ? 2L : 0L);
	mqw_tls_trust(curl, c);
}

/* The null sender is what libcurl takes when none is set. */
static void set_envelope(
	CURL *curl, const struct mqw_alert_config *c, struct curl_slist **ret_recipients)
{
	struct curl_slist *list = NULL;

	if (c->from)
		curl_easy_setopt(curl, CURLOPT_MAIL_FROM, c->from);
	for (size_t i = 0; i < c->email_count; i++)
		list = curl_slist_append(list, c->email[i]);
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, list);
	/* One address that is wrong shall not keep the alert from the others. */
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
	*ret_recipients = list;
}

static void say_result(const struct mqw_alert_config *c, struct dialogue *g, CURLcode code,
	const char *error, struct mqw_delivery *d)
{
	struct mqw_buffer said = {0};

	d->accepted = code == CURLE_OK;
	d->refused = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
		(code != CURLE_OK && g->complaint.len);
	if (code == CURLE_OK) {
		mqw_buffer_add(&said, mqw_buffer_slice(&g->last));
		mqw_buffer_add(&said, mqw_buffer_slice(&g->refused));
	} else {
		mqw_buffer_add_str(&said, error[0] ? error : curl_easy_strerror(code));
		mqw_tls_explain(&said, code, c);
		if (g->complaint.len) {
			mqw_buffer_add_str(&said, ": ");
			mqw_buffer_add(&said, mqw_buffer_slice(&g->complaint));
		}
	}
	mqw_delivery_say(d, mqw_buffer_slice(&said));
	mqw_buffer_done(&said);
}

static void talk(CURL *curl, const struct mqw_alert_config *c, struct mqw_slice mail,
	const char *host, struct mqw_delivery *d)
{
	struct dialogue g = {.rest = mail};
	struct curl_slist *recipients = NULL;
	struct mqw_buffer url = {0};
	char error[CURL_ERROR_SIZE] = "";
	CURLcode code;

	/* What stands behind the host is the name for EHLO. */
	mqw_buffer_printf(&url, "%s/%s", c->via, host);
	curl_easy_setopt(curl, CURLOPT_URL, mqw_buffer_str(&url));
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, &g);
	curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail.len);
	curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
	curl_easy_setopt(curl, CURLOPT_DEBUGDATA, &g);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(c->timeout / 1000));
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	set_tls(curl, c);
	set_envelope(curl, c, &recipients);
	code = url.failed ? CURLE_OUT_OF_MEMORY : curl_easy_perform(curl);
	g.over = true;
	say_result(c, &g, code, error, d);
	/* It says goodbye to the relay, and the dialogue has to live until then. */
	curl_easy_cleanup(curl);
	curl_slist_free_all(recipients);
	mqw_buffer_done(&url);
	mqw_buffer_done(&g.last);
	mqw_buffer_done(&g.complaint);
	mqw_buffer_done(&g.refused);
}

void mqw_deliver_mail(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d)
{
	char host[MQW_NOTICE_HOST_MAX + 1];
	struct mqw_buffer mail = {0}, secret = {0};
	CURL *curl = curl_easy_init();
	bool good = true;

	mqw_deliver_full_host(host);
	mqw_notice_add_mail(&mail, notice, c, host);
	if (c->user) {
		good = mqw_secret_read(c->password_file, c->credential, &secret, d);
		curl_easy_setopt(curl, CURLOPT_USERNAME, c->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, mqw_buffer_str(&secret));
	}
	if (!curl || mail.failed)
		mqw_delivery_say(d, MQW_LIT("out of memory"));
	if (curl && !mail.failed && good)
		talk(curl, c, mqw_buffer_slice(&mail), host, d);
	else
		curl_easy_cleanup(curl);
	mqw_buffer_done(&mail);
	mqw_buffer_done(&secret);
}
