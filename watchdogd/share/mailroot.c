/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/share/mailroot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct share {
	const struct mqw_share_url *root;
	const struct mqw_credentials *credentials;
	const char *min_protocol;
	/* The folder that was asked for last. */
	struct mqw_smb *smb;
	struct mqw_share_ops ops;
	struct mqw_share_url url;
	struct mqw_buffer text;
	char folder[32];
};

static int enter(struct share *s, const char *folder)
{
	if (s->smb && strcmp(s->folder, folder) == 0)
		return 0;
	s->smb = mqw_smb_free(s->smb);
	snprintf(s->folder, sizeof(s->folder), "%s", folder);
	mqw_buffer_clear(&s->text);
	mqw_buffer_add(&s->text, s->root->folder);
	mqw_buffer_add(&s->text, s->root->name);
	mqw_buffer_printf(&s->text, "%s%s/", s->root->name.len ? "/" : "", folder);
	if (s->text.failed || mqw_share_url_parse(mqw_buffer_slice(&s->text), &s->url))
		return -ENOMEM;
	s->smb = mqw_smb_create(&s->url, s->credentials, s->min_protocol);
	if (!s->smb)
		return -ENOMEM;
	mqw_smb_ops(s->smb, &s->ops);
	return 0;
}

struct listing {
	mqw_mailroot_each *each;
	void *arg;
};

static void on_entry(void *walk, const struct mqw_share_entry *e)
{
	const struct listing *l = walk;
	char name[MQW_SHARE_NAME_MAX + 1];

	if (e->name.len == 0 || e->name.len > MQW_SHARE_NAME_MAX)
		return;
	memcpy(name, e->name.ptr, e->name.len);
	name[e->name.len] = '\0';
	l->each(l->arg, name, e->written);
}

static int list(void *ctx, const char *folder, mqw_mailroot_each *each, void *arg)
{
	struct share *s = ctx;
	struct listing l = {each, arg};
	int r = enter(s, folder);

	return r < 0 ? r : s->ops.list(s->ops.ctx, on_entry, &l);
}

static ssize_t head(void *ctx, const char *folder, const char *name, char *buf, size_t size)
{
	struct share *s = ctx;
	struct mqw_share_entry entry;
	int r = enter(s, folder), handle;
	ssize_t n;

	if (r < 0)
		return r;
	handle = s->ops.open(s->ops.ctx, name, &entry);
	if (handle < 0)
		return handle;
	n = s->ops.read(s->ops.ctx, handle, 0, buf, size);
	s->ops.close(s->ops.ctx, handle);
	return n;
}

int mqw_share_mailroot(const struct mqw_share_url *url, const struct mqw_credentials *credentials,
	const char *min_protocol, const struct mqw_mailroot_wish *wish, json_t **ret)
{
	struct share s = {.root = url, .credentials = credentials, .min_protocol = min_protocol};
	const struct mqw_mailroot_ops ops = {.list = list, .head = head, .ctx = &s};
	int r = mqw_mailroot_look(&ops, wish, ret);

	mqw_smb_free(s.smb);
	mqw_buffer_done(&s.text);
	return r;
}
