/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time. Everywhere a time is an int64_t in microseconds since 1970-01-01T00:00:00Z, a span is one
 * in microseconds. MQW_TIME_NONE says "not known". Logic never reads a clock: times come in with
 * events and ticks. Only mains, sources and timers call mqw_clock_now().
 */
#ifndef MQW_BASE_CLOCK_H
#define MQW_BASE_CLOCK_H

#include "watchdogd/base/buffer.h"

#define MQW_TIME_NONE INT64_MIN
#define MQW_SECOND ((int64_t)1000000)
#define MQW_MINUTE (60 * MQW_SECOND)
#define MQW_HOUR (60 * MQW_MINUTE)
#define MQW_DAY (24 * MQW_HOUR)

/* The real-time clock. */
int64_t mqw_clock_now(void);

/*
 * When who looks about once a second looks next: at a whole second of the clock that now is of, half a
 * second to one and a half away. All who do so wake the process once.
 */
uint64_t mqw_clock_next_second(uint64_t now);

/*
 * Days since 1970-01-01 of a proleptic Gregorian date; month 1 to 12. Any year that fits an int
 * works. No check of the day.
 */
int64_t mqw_days_from_civil(int year, int month, int day);

/* The inverse. */
void mqw_civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);

/* Adds "2026-10-03T04:00:00Z" (whole seconds, rounded down); "null" is not written for NONE. */
void mqw_time_format(struct mqw_buffer *b, int64_t time);

/*
 * Adds a span as a person says it: "45 s", "12 min", "3 h 20 min", "5 d 2 h". Negative spans get
 * a minus sign.
 */
void mqw_span_format(struct mqw_buffer *b, int64_t span);

/*
 * Parses a span as written in the configuration: digits and a unit, s m h d w, "ms" too, several
 * in a row allowed ("1h30m"). A bare number takes default_unit (such as MQW_SECOND), or is refused
 * when that is 0. False when malformed or out of range (more than about 100 years).
 */
bool mqw_span_parse(struct mqw_slice s, int64_t default_unit, int64_t *ret);

/* Parses a size: digits and nothing, K, M, G or T (powers of 1024). False when malformed. */
bool mqw_size_parse(struct mqw_slice s, uint64_t *ret);

/*
 * Parses a point in time as a person writes it on a command line: "2026-10-03",
 * "2026-10-03 04:00[:05]", the same with "T", with "Z" or "+02:00" behind. Without a zone it is
 * UTC plus offset_us (the span that the zone is ahead of UTC). False when malformed.
 */
bool mqw_time_parse(struct mqw_slice s, int64_t offset_us, int64_t *ret);

#endif
