/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "probes/exchange/exchange.h"
#include "probes/exim/exim.h"
#include "probes/iis_smtp/iis_smtp.h"
#include "probes/postfix/postfix.h"
#include "probes/sendmail/sendmail.h"
#include "probes/syslog/header.h"

const struct mqw_probe_ops *const mqw_probes[] = {&mqw_probe_postfix, &mqw_probe_exim,
	&mqw_probe_sendmail, &mqw_probe_exchange, &mqw_probe_iis_smtp, NULL};

static bool is_name(struct mqw_slice s, const char *name)
{
	size_t i = 0;

	for (; i < s.len && name[i]; i++)
		if (s.ptr[i] != name[i] && (s.ptr[i] != '_' || name[i] != '-'))
			return false;
	return i == s.len && !name[i];
}

const struct mqw_probe_ops *mqw_probe_find(struct mqw_slice name)
{
	for (size_t i = 0; mqw_probes[i]; i++)
		if (is_name(name, mqw_probes[i]->name))
			return mqw_probes[i];
	return NULL;
}

/* The MTA that alone writes such a line; or how it looks else, a likely one taken apart. */
static enum mqw_form recognise(const struct mqw_probe_ops **mta, struct mqw_syslog_reader *stamps,
	struct mqw_slice raw, struct mqw_line *ret)
{
	enum mqw_form best = MQW_FORM_NONE;

	for (size_t i = 0; mqw_probes[i]; i++) {
		struct mqw_line line = *ret;
		enum mqw_form form = mqw_probes[i]->own_form
			? mqw_probes[i]->own_form(stamps, raw, &line)
			: MQW_FORM_NONE;

		if (form == MQW_FORM_CERTAIN || (form == MQW_FORM_LIKELY && best != form))
			*ret = line;
		if (form == MQW_FORM_CERTAIN) {
			*mta = mqw_probes[i];
			return form;
		}
		if (form == MQW_FORM_LIKELY || (form == MQW_FORM_HEAD && best == MQW_FORM_NONE))
			best = form;
	}
	return best;
}

enum mqw_form mqw_probe_parse(const struct mqw_probe_ops **mta, struct mqw_syslog_reader *stamps,
	struct mqw_slice raw, struct mqw_line *ret)
{
	enum mqw_form form = !*mta ? recognise(mta, stamps, raw, ret)
		: (*mta)->own_form ? (*mta)->own_form(stamps, raw, ret)
				   : MQW_FORM_NONE;

	if (form != MQW_FORM_NONE)
		return form;
	return mqw_syslog_parse(stamps, raw, ret) ? MQW_FORM_POSSIBLE : MQW_FORM_NONE;
}

/* A look that fails in another way than by ENOENT counts as there. */
static bool is_there(int root, const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool mqw_probe_companion(const struct mqw_probe_ops *probe, int root, struct mqw_slice path,
	size_t n, char *ret, size_t size)
{
	if (!probe->companion || (probe->companion_places && n > 0))
		return false;
	if (probe->companion_places)
		for (size_t place = 0; probe->companion(path, place, ret, size); place++)
			if (is_there(root, ret))
				return true;
	return probe->companion(path, n, ret, size);
}

bool mqw_probe_is_whole(const struct mqw_probe_ops *probe, int root, struct mqw_slice path)
{
	char name[PATH_MAX];

	for (size_t n = 0; mqw_probe_companion(probe, root, path, n, name, sizeof(name)); n++)
		if (!(n && n == probe->journal) && !is_there(root, name))
			return false;
	return true;
}

void mqw_mta_settings_done(struct mqw_mta_settings *s)
{
	free(s->queue_directory);
	free(s->log_name);
	*s = (struct mqw_mta_settings){0};
}

int mqw_probe_files(const struct mqw_probe_ops *probe, struct mqw_slice content,
	struct mqw_slice ret[MQW_BUNDLE_MAX])
{
	if (probe->companion)
		return mqw_bundle_split(content, ret);
	ret[0] = content;
	return 1;
}

int mqw_probe_envelope(const struct mqw_probe_ops *probe, const struct mqw_slice *files,
	size_t count, struct mqw_buffer *ret)
{
	mqw_buffer_add(ret, files[0]);
	if (ret->failed)
		return -ENOMEM;
	if (!probe->journal || count <= probe->journal + 1)
		return 0;
	return probe->add_journal(ret, files[probe->journal + 1]);
}

void mqw_queue_file_done(struct mqw_queue_file *f)
{
	for (size_t i = 0; i < f->recipient_count; i++)
		free(f->recipients[i].address);
	free(f->recipients);
	free(f->sender);
	free(f->message_id);
	free(f->former_id);
	*f = (struct mqw_queue_file){0};
}
