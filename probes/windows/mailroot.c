/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/mailroot.h"

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
