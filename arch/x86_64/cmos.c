/*
 * The wall clock: the CMOS real-time clock (Motorola MC146818), which QEMU and most PCs keep in
 * UTC. Read once at start by kernel/timer.c.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"

#define CMOS_INDEX      0x70
#define CMOS_DATA       0x71
#define RTC_STATUS_A    0x0a
#define RTC_STATUS_B    0x0b
#define STATUS_A_UIP    0x80 /* an update is in progress */
#define STATUS_B_24H    0x02
#define STATUS_B_BIN    0x04
#define HOUR_PM         0x80
#define UPDATE_WAITS    100000
#define READ_ATTEMPTS   10
#define SECONDS_PER_DAY 86400u

enum field { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, NR_FIELDS };

static const uint8_t field_register[NR_FIELDS] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09};

static uint8_t cmos_read(uint8_t reg)
{
    port_out8(CMOS_INDEX, reg);
    return port_in8(CMOS_DATA);
}

static void read_fields(uint8_t *fields)
{
    for (int i = 0; i < UPDATE_WAITS && (cmos_read(RTC_STATUS_A) & STATUS_A_UIP); i++)
        cpu_relax();
    for (int i = 0; i < NR_FIELDS; i++)
        fields[i] = cmos_read(field_register[i]);
}

static bool same_fields(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < NR_FIELDS; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static uint8_t from_bcd(uint8_t value)
{
    return (value >> 4) * 10 + (value & 0x0f);
}

static void decode_fields(uint8_t *fields)
{
    uint8_t status = cmos_read(RTC_STATUS_B);
    bool pm = !(status & STATUS_B_24H) && (fields[HOUR] & HOUR_PM);
    if (!(status & STATUS_B_24H))
        fields[HOUR] &= ~HOUR_PM;
    for (int i = 0; i < NR_FIELDS && !(status & STATUS_B_BIN); i++)
        fields[i] = from_bcd(fields[i]);
    if (!(status & STATUS_B_24H))
        fields[HOUR] = fields[HOUR] % 12 + (pm ? 12 : 0);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so that
 * the leap day comes last. */
static uint64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
    if (month <= 2) {
        year--;
        month += 12;
    }
    return 365ull * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day -
           1 - 719468;
}

/* Seconds since 1970-01-01 UTC. The clock has two digits of the year: 2000 to 2099. */
uint64_t arch_wall_clock_seconds(void)
{
    uint8_t fields[NR_FIELDS], again[NR_FIELDS];
    read_fields(fields);
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        read_fields(again);
        if (same_fields(fields, again))
            break;
        __builtin_memcpy(fields, again, sizeof(fields));
    }
    decode_fields(fields);
    uint64_t days = days_since_epoch(2000u + fields[YEAR], fields[MONTH], fields[DAY]);
    return days * SECONDS_PER_DAY + fields[HOUR] * 3600u + fields[MINUTE] * 60u + fields[SECOND];
}
