/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon may ask of the root helper: a closed list, fixed-size frames, nothing that the
 * helper does not look up again in its own root-owned configuration. One request and one answer on
 * a SOCK_SEQPACKET connection; native byte order, both ends are the same build on one host.
 */
#ifndef MQW_HELPER_WIRE_H
#define MQW_HELPER_WIRE_H

#include "watchdogd/base/slice.h"

#define MQW_HELPER_VERSION 1
#define MQW_HELPER_MAGIC 0x4d515748u /* "MQWH" */

enum mqw_helper_op {
	MQW_HELPER_PING = 1,
	MQW_HELPER_REQUEUE, /* try this message now; instance, queue_id */
	MQW_HELPER_FLUSH, /* try the whole queue now; instance */
	MQW_HELPER_RESTART, /* restart the instance's service, wait for the job; instance */
	MQW_HELPER_HEALTH, /* whether unit and queue manager are alive; instance */
	/* Re-inject the file vault/INSTANCE/QUEUE_ID.recover; instance, queue_id. Idempotent: when
	 * a file of that id waits in the MTA's pick-up directory already, the answer is ALREADY.
	 * Once it is put back the file is called QUEUE_ID.done, and a second request finds that. */
	MQW_HELPER_RECOVER,
	MQW_HELPER_OP_END
};

enum mqw_helper_status {
	MQW_HELPER_OK = 0,
	MQW_HELPER_ALREADY, /* nothing to do: it had been done */
	MQW_HELPER_REFUSED, /* not allowed or not valid; never tried */
	MQW_HELPER_FAILED, /* tried, did not work; text says how */
	MQW_HELPER_UNHEALTHY, /* answer to HEALTH: not alive; text says what */
	MQW_HELPER_STATUS_END
};

struct mqw_helper_request {
	uint32_t magic, version;
	uint32_t op; /* enum mqw_helper_op */
	uint32_t reserved; /* 0 */
	char instance[64]; /* NUL-terminated and zero-padded, as is queue_id */
	char queue_id[64];
};

struct mqw_helper_answer {
	uint32_t magic, version;
	uint32_t op;
	uint32_t status; /* enum mqw_helper_status */
	char text[240]; /* one sentence for the log, printable, NUL-terminated */
};

/* "requeue" and the like; "unknown" for what is none. */
const char *mqw_helper_op_name(uint32_t op);
const char *mqw_helper_status_name(uint32_t status);

/*
 * Puts a text into a field of size bytes, zero-padded. False when it does not fit or holds a NUL.
 */
bool mqw_helper_field_put(char *field, size_t size, struct mqw_slice text);

/* The text of a field; false when it does not end with a NUL or something follows it. */
bool mqw_helper_field_get(const char *field, size_t size, struct mqw_slice *ret);

/*
 * Whether n received bytes are an answer to op: size, magic, version, op, status, and a text that
 * is whole and printable. 0, -EPROTONOSUPPORT for another version, or -EBADMSG.
 */
int mqw_helper_answer_check(const struct mqw_helper_answer *a, size_t n, uint32_t op);

#endif
