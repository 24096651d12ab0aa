/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/syslog/header.h"

static struct mqw_slice take_word(struct mqw_slice *s)
{
	size_t n = mqw_slice_chr(*s, ' ');
	struct mqw_slice word = mqw_slice_head(*s, n);

	*s = mqw_slice_from(*s, n + 1);
	return word;
}

/* The host of the line before is that of the next, nearly always. */
static struct mqw_slice take_host(struct mqw_syslog_reader *r, struct mqw_slice *s)
{
	const size_t n = r->host_len;
	struct mqw_slice host;

	if (n && s->len > n && s->ptr[n] == ' ' && mqw_same_bytes(s->ptr, r->host, n)) {
		host = mqw_slice(s->ptr, n);
		*s = mqw_slice(s->ptr + n + 1, s->len - n - 1);
		return host;
	}
	host = take_word(s);
	r->host_len = host.len <= sizeof(r->host) ? host.len : 0;
	if (r->host_len)
		memcpy(r->host, host.ptr, host.len);
	return host;
}

static void split_pid(struct mqw_slice tag, struct mqw_line *ret)
{
	size_t open = mqw_slice_chr(tag, '[');
	struct mqw_slice number = mqw_slice_from(tag, open + 1);
	const size_t safe = number.len < 9 ? number.len : 9; /* so many digits always fit */
	uint64_t pid = 0;
	size_t i = 0;

	ret->tag = mqw_slice_head(tag, open);
	for (; i < safe && (unsigned char)(number.ptr[i] - '0') <= 9; i++)
		pid = pid * 10 + (unsigned char)(number.ptr[i] - '0');
	if (i == 9 && (!mqw_slice_take_u64(&number, &pid) || pid > UINT32_MAX))
		pid = 0;
	ret->pid = (uint32_t)pid;
}

/* RFC 5424 section 6: HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]. */
static void read_5424(struct mqw_slice s, struct mqw_line *ret)
{
	struct mqw_slice pid;
	uint64_t n;

	ret->host = take_word(&s);
	ret->tag = take_word(&s);
	pid = take_word(&s);
	if (mqw_slice_take_u64(&pid, &n) && n <= UINT32_MAX)
		ret->pid = (uint32_t)n;
	take_word(&s);
	if (mqw_slice_starts(s, MQW_LIT("["))) {
		bool quoted = false;
		size_t i = 0;

		for (; i < s.len &&
			(quoted || s.ptr[i] != ']' || (i + 1 < s.len && s.ptr[i + 1] == '['));
			i++) {
			if (s.ptr[i] == '\\')
				i++;
			else if (s.ptr[i] == '"')
				quoted = !quoted;
		}
		s = mqw_slice_from(s, i + 2);
	} else {
		take_word(&s);
	}
	if (mqw_slice_starts(s, MQW_LIT("\xef\xbb\xbf")))
		s = mqw_slice_from(s, 3);
	ret->text = mqw_slice_starts(s, MQW_LIT(" ")) ? mqw_slice_from(s, 1) : s;
}

static void unwrap_repetition(struct mqw_slice *text)
{
	struct mqw_slice s = *text;
	uint64_t n;

	if (mqw_slice_skip(&s, MQW_LIT("message repeated ")) && mqw_slice_take_u64(&s, &n) &&
		mqw_slice_skip(&s, MQW_LIT(" times: [ ")) && s.len && s.ptr[s.len - 1] == ']')
		*text = mqw_slice_head(s, s.len - 1);
}

bool mqw_syslog_parse(struct mqw_syslog_reader *r, struct mqw_slice raw, struct mqw_line *ret)
{
	struct mqw_slice s = raw, word;
	bool rfc5424 = false;
	uint64_t pri;

	ret->pid = 0;
	ret->columns = NULL;
	ret->tag = ret->host = ret->text = MQW_SLICE_NULL;
	if (s.len && s.ptr[0] == '<') {
		s = mqw_slice_from(s, 1);
		if (!mqw_slice_take_u64(&s, &pri) || pri > 191 || !mqw_slice_skip(&s, MQW_LIT(">")))
			return false;
		rfc5424 = mqw_slice_skip(&s, MQW_LIT("1 "));
	}
	if (!mqw_syslog_take_stamp(r, &s, &ret->time))
		return false;
	if (rfc5424) {
		read_5424(s, ret);
	} else {
		ret->host = take_host(r, &s);
		ret->text = s;
		word = take_word(&s);
		if (word.len > 1 && word.ptr[word.len - 1] == ':') {
			split_pid(mqw_slice_head(word, word.len - 1), ret);
			ret->text = s;
		}
	}
	if (ret->text.len && ret->text.ptr[0] == 'm')
		unwrap_repetition(&ret->text);
	return true;
}
