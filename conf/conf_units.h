/* conf_units.h - amounts with their units, read and written. */
#ifndef CONF_CONF_UNITS_H
#define CONF_CONF_UNITS_H

#include "proxy/base/slice.h"

#define CONF_UNITS_TEXT_MAX 32

/* Whole numbers only where the unit has smaller ones below it; no blank before the unit; nothing
 * that would overflow. */
bool conf_units_size(struct slice, int64_t *octets);		/* "512", "64K", "50m", "1G" */
bool conf_units_time(struct slice, int64_t *milliseconds);	/* "250ms", "30s", "5m", "1h", "1d"; a unit is compulsory */
bool conf_units_score(struct slice, int64_t *thousandths);	/* "5", "-0.25"; at most three decimals */

/* The shortest text that reads as the same amount. */
void conf_units_size_text(int64_t, char out[CONF_UNITS_TEXT_MAX]);
void conf_units_time_text(int64_t, char out[CONF_UNITS_TEXT_MAX]);
void conf_units_score_text(int64_t, char out[CONF_UNITS_TEXT_MAX]);

#endif
