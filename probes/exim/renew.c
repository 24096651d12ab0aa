/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may stand in an ID-H that is put back out of a copy that was in other hands. Exim reads it as
 * root and trusts it, so that what it does not need to deliver mail is left out, and what it would
 * read otherwise than it was read here is refused (spool_in.c of 4.96).
 */
#include <errno.h>

#include "probes/exim/queue_internal.h"

/* BIG_BUFFER_SIZE of 4.96 is 16384: what is longer Exim may read as more than one line. */
#define LINE_MAX_OF_EXIM 16000

enum kind {
	FLAG, /* has no value */
	NUMBER,
	TEXT,
};

/*
 * Options that stay. Left out: frozen, manual_thaw, received_time_..., deliver_firsttime, which tell of
 * the former life; tls_ourcert and tls_peercert, which root's Exim would give to its TLS library to
 * parse; "acl", the form of before Exim 4.60; and whatever is not known here, as Exim does.
 */
static const struct {
	const char *name;
	enum kind kind;
} kept[] = {
	{"active_hostname", TEXT},
	{"allow_unqualified_recipient", FLAG},
	{"allow_unqualified_sender", FLAG},
	{"auth_id", TEXT},
	{"auth_sender", TEXT},
	{"body_linecount", NUMBER},
	{"body_zerocount", NUMBER},
	{"dsn_envid", TEXT},
	{"dsn_ret", NUMBER},
	{"helo_name", TEXT},
	{"host_address", TEXT},
	{"host_auth", TEXT},
	{"host_auth_pubname", TEXT},
	{"host_lookup_deferred", FLAG},
	{"host_lookup_failed", FLAG},
	{"host_name", TEXT},
	{"ident", TEXT},
	{"interface_address", TEXT},
	{"local", FLAG},
	{"local_scan", TEXT},
	{"localerror", FLAG},
	{"max_received_linelength", NUMBER},
	{"received_protocol", TEXT},
	{"sender_set_untrusted", FLAG},
	{"smtputf8", FLAG},
	{"spam_bar", TEXT},
	{"spam_score", TEXT},
	{"spam_score_int", TEXT},
	{"spool_file_wireformat", FLAG},
	{"tls_certificate_verified", FLAG},
	{"tls_cipher", TEXT},
	{"tls_peerdn", TEXT},
	{"tls_sni", TEXT},
	{"tls_ver", TEXT},
	{"utf8_downcvt", FLAG},
	{"utf8_optdowncvt", FLAG},
};

static bool is_number(struct mqw_slice s)
{
	uint64_t number;

	return mqw_slice_take_u64(&s, &number) && s.len == 0 && number <= INT32_MAX;
}

/* The name of a variable, of which Exim takes the first blank for the end. */
static bool is_word(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < '0' || s.ptr[i] > '9') && (s.ptr[i] < 'A' || s.ptr[i] > 'Z') &&
			(s.ptr[i] < 'a' || s.ptr[i] > 'z') && s.ptr[i] != '_')
			return false;
	return s.len > 0;
}

/*
 * Text and the values of variables are written as tainted ("--") and quoted for nothing, whatever the
 * copy says of them: then Exim compares by them and shows them, but makes no command, file name or
 * query out of them.
 */
static int add_variable(const struct mqw_exim_option *o, struct mqw_buffer *ret)
{
	struct mqw_slice name = mqw_slice_head(o->value, mqw_slice_chr(o->value, ' '));

	if (!is_word(name) || !is_number(mqw_slice_from(o->value, name.len + 1)))
		return -EBADMSG;
	mqw_buffer_add_str(ret, "--");
	mqw_buffer_add(ret, o->name);
	mqw_buffer_add_str(ret, " ");
	mqw_buffer_add(ret, name);
	mqw_buffer_printf(ret, " %zu\n", o->variable.len);
	mqw_buffer_add(ret, o->variable);
	mqw_buffer_add_str(ret, "\n");
	return 0;
}

static int add_option(const struct mqw_exim_option *o, enum kind kind, struct mqw_buffer *ret)
{
	bool has_value = o->value.ptr != NULL;

	if (has_value != (kind != FLAG) || (kind == NUMBER && !is_number(o->value)) ||
		o->value.len > LINE_MAX_OF_EXIM)
		return -EBADMSG;
	mqw_buffer_add_str(ret, kind == TEXT ? "--" : "-");
	mqw_buffer_add(ret, o->name);
	if (has_value)
		mqw_buffer_add_str(ret, " ");
	mqw_buffer_add(ret, o->value);
	mqw_buffer_add_str(ret, "\n");
	return 0;
}

int mqw_exim_add_options(struct mqw_slice options, struct mqw_buffer *ret)
{
	struct mqw_exim_option o;
	int r = 0;

	while (r == 0 && mqw_exim_take_option(&options, &o)) {
		/* Was never to be delivered (exim -N), and so cannot have been lost. */
		if (mqw_slice_eq(o.name, MQW_LIT("N")))
			return -EBADMSG;
		if (mqw_slice_eq(o.name, MQW_LIT("aclc")) || mqw_slice_eq(o.name, MQW_LIT("aclm")))
			r = add_variable(&o, ret);
		for (size_t i = 0; r == 0 && i < sizeof(kept) / sizeof(kept[0]); i++)
			if (mqw_slice_eq(o.name, mqw_slice_of(kept[i].name)))
				r = add_option(&o, kept[i].kind, ret);
	}
	return r;
}

/* Exim takes the parent's number as an index without a look at it. */
bool mqw_exim_is_safe(
	const struct mqw_exim_envelope *e, const struct mqw_slice *done, size_t done_count)
{
	struct mqw_slice s = e->recipients, line, address;
	int64_t parent;

	if (e->sender.len > LINE_MAX_OF_EXIM)
		return false;
	for (size_t i = 0; i < done_count; i++)
		if (done[i].len > LINE_MAX_OF_EXIM)
			return false;
	while (mqw_slice_take_until(&s, '\n', &line))
		if (line.len > LINE_MAX_OF_EXIM ||
			!mqw_exim_split_recipient(line, &address, &parent) ||
			parent >= (int64_t)e->recipient_count)
			return false;
	return true;
}
