/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/mailroot.h"

#include <errno.h>

#include "probes/common.h"

/* A share may tell case apart or not: a folder that is there by two names is looked at once more. */
const char *const mqw_mailroot_directories[] = {"Queue", "Pickup", "Badmail", "BadMail", NULL};

static bool ends_nocase(struct mqw_slice s, struct mqw_slice suffix)
{
	return s.len > suffix.len &&
		mqw_slice_eq_nocase(mqw_slice_from(s, s.len - suffix.len), suffix);
}

bool mqw_mailroot_valid_id(struct mqw_slice id)
{
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] == '/' || id.ptr[i] == '\0')
			return false;
	return id.len > 0 && id.len < 256 && id.ptr[0] != '.';
}

bool mqw_mailroot_name(struct mqw_slice relative_path, struct mqw_queue_name *ret)
{
	struct mqw_slice name = relative_path, folder;

	if (!mqw_slice_take_until(&name, '/', &folder) || !mqw_mailroot_valid_id(name))
		return false;
	ret->queue_id = name;
	if (mqw_slice_eq(folder, MQW_LIT("Queue"))) {
		ret->place = MQW_PLACE_WAITING;
		return mqw_slice_eq_nocase(mqw_slice_head(name, 5), MQW_LIT("NTFS_")) &&
			ends_nocase(name, MQW_LIT(".EML"));
	}
	if (mqw_slice_eq(folder, MQW_LIT("Pickup"))) {
		ret->place = MQW_PLACE_ARRIVING;
		return true;
	}
	/* Of the three files of a message this one is the mail itself. */
	ret->place = MQW_PLACE_HELD;
	return ends_nocase(name, MQW_LIT(".BAD"));
}

/* Takes a header field off the front, with the lines that continue it; false at the end of them. */
static bool take_field(struct mqw_slice *s, struct mqw_slice *ret_name, struct mqw_slice *ret_value)
{
	size_t end = 0, colon;

	while (end < s->len) {
		end += mqw_slice_chr(mqw_slice_from(*s, end), '\n') + 1;
		if (end >= s->len || (s->ptr[end] != ' ' && s->ptr[end] != '\t'))
			break;
	}
	*ret_value = mqw_slice_head(*s, end);
	*s = mqw_slice_from(*s, end);
	colon = mqw_slice_chr(*ret_value, ':');
	if (colon == 0 || colon == ret_value->len)
		return false;
	*ret_name = mqw_slice_trim(mqw_slice_head(*ret_value, colon));
	*ret_value = mqw_slice_from(*ret_value, colon + 1);
	return true;
}

static struct mqw_slice trim_lines(struct mqw_slice s)
{
	while (s.len && (unsigned char)s.ptr[0] <= ' ')
		s = mqw_slice_from(s, 1);
	while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
		s.len--;
	return s;
}

/* Where an item of a list of addresses ends: at a comma outside of quotes and comments. */
static size_t item_length(struct mqw_slice s)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\\')
			i++;
		else if (c == '"' && depth == 0)
			quoted = !quoted;
		else if (c == '(' && !quoted)
			depth++;
		else if (c == ')' && !quoted && depth > 0)
			depth--;
		else if ((c == ',' || c == ';') && !quoted && depth == 0)
			return i;
	}
	return s.len;
}

/* "Ann <ann@b.test>" and "ann@b.test (Ann)"; empty when there is none in it. */
static struct mqw_slice address_in(struct mqw_slice item)
{
	struct mqw_slice path = mqw_slice_from(item, mqw_slice_chr(item, '<')), address;

	if (mqw_take_path(&path, &address))
		return address;
	item = mqw_slice_head(item, mqw_slice_chr(item, '('));
	/* The name of a group (RFC 5322 3.4) stands before its first member. */
	if (mqw_slice_chr(item, ':') < item.len && mqw_slice_chr(item, '"') == item.len)
		item = mqw_slice_from(item, mqw_slice_chr(item, ':') + 1);
	item = trim_lines(item);
	return mqw_slice_chr(item, '@') < item.len ? item : MQW_SLICE_NULL;
}

static int add_addresses(struct mqw_queue_file *f, struct mqw_slice list)
{
	int r = 0;

	while (r == 0 && list.len) {
		size_t n = item_length(list);
		struct mqw_slice address = address_in(mqw_slice_head(list, n));

		list = mqw_slice_from(list, n + 1);
		if (address.len)
			r = mqw_queue_file_add(f, address, false, 0);
	}
	return r;
}

static int keep(char **owned, struct mqw_slice s)
{
	if (*owned || !s.len)
		return 0;
	*owned = mqw_slice_dup(s);
	return *owned ? 0 : -ENOMEM;
}

static int read_field(struct mqw_queue_file *f, struct mqw_slice name, struct mqw_slice value)
{
	static const struct mqw_slice lists[] = {
		MQW_LIT("To"), MQW_LIT("Cc"), MQW_LIT("Bcc"), MQW_LIT("X-Receiver")};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (mqw_slice_eq_nocase(name, lists[i]))
			return add_addresses(f, value);
	if (mqw_slice_eq_nocase(name, MQW_LIT("From")))
		return keep(&f->sender, address_in(mqw_slice_head(value, item_length(value))));
	value = trim_lines(value);
	if (mqw_slice_eq_nocase(name, MQW_LIT("Message-ID")) && value.len > 2 &&
		value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
		return keep(&f->message_id, mqw_slice(value.ptr + 1, value.len - 2));
	return 0;
}

int mqw_mailroot_file(struct mqw_slice content, struct mqw_queue_file *ret)
{
	struct mqw_slice name, value;
	int r = 0;

	*ret = (struct mqw_queue_file){.arrived_at = MQW_TIME_NONE, .created_at = MQW_TIME_NONE};
	while (r == 0 && take_field(&content, &name, &value))
		r = read_field(ret, name, value);
	if (r < 0)
		mqw_queue_file_done(ret);
	return r;
}

bool mqw_mailroot_in_other_queue(const struct mqw_message *m)
{
	(void)m;
	return true;
}

bool mqw_windows_is_genuine(
	const char *service, struct mqw_slice unit, struct mqw_slice uid, struct mqw_slice exe)
{
	(void)service, (void)unit, (void)uid, (void)exe;
	return false;
}
