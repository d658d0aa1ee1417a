/*
 * A recorded run on a terminal, by ncurses: the program to the left, with the instruction that is
 * about to execute marked; registers and stack to the right; keys go forward and back.
 */
#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "user/vm/step.h"
#include "user/vm/vm.h"

#define RIGHT_WIDTH 36 /* what registers and stack need */
#define STATE_TOP   2

static const char *const help[] = {
    "n, right, down, space    the next step",
    "p, left, up              the step before",
    "PageDown, PageUp         ten steps",
    "Home, End                the first step, the last",
    "g                        go to a step by its number",
    "?                        this list",
    "q                        leave",
    "",
    "A star marks what the step before changed; - is what",
    "the program may not read.",
};

static void put_line(int row, int column, int width, const char *text)
{
    if (row < LINES && column < COLS && width > 0)
        mvaddnstr(row, column, text, width);
}

/* The program around the instruction, which stands in the middle. */
static void draw_program(const struct step *s, int width)
{
    const struct moment *m = step_moment(s);
    const struct listing *l = &s->listings[m->prog];
    int rows = LINES - STATE_TOP - 1, now = (int)listing_find(l, m->slot);
    int first = now - rows / 2 > 0 ? now - rows / 2 : 0;

    for (int row = 0; row < rows && first + row < (int)l->nr; row++) {
        const struct listing_line *line = &l->lines[first + row];
        bool here = line->slot == m->slot && line->kind != LISTING_C;
        attr_t look = here                        ? A_BOLD
                      : line->kind == LISTING_X86 ? A_DIM
                      : line->kind == LISTING_C   ? A_UNDERLINE
                                                  : A_NORMAL;

        put_line(STATE_TOP + row, 0, 2, first + row == now ? ">" : "");
        attron(look);
        put_line(STATE_TOP + row, 2, width - 3, line->text);
        attroff(look);
    }
}

static void draw(const struct step *s, const char *note)
{
    char title[160], end[320], lines[STEP_LINES][STEP_WIDTH];
    unsigned nr = step_state(s, lines);
    int left = COLS > 2 * RIGHT_WIDTH ? COLS - RIGHT_WIDTH : COLS / 2;

    erase();
    step_title(s, title, sizeof(title));
    attron(A_REVERSE);
    put_line(0, 0, COLS, title);
    attroff(A_REVERSE);
    draw_program(s, left);
    for (unsigned n = 0; n < nr; n++) {
        attr_t look = lines[n][0] == '*' ? A_BOLD : A_NORMAL;

        attron(look);
        if ((int)n + STATE_TOP < LINES - 1)
            put_line(STATE_TOP + (int)n, left, COLS - left, lines[n]);
        attroff(look);
    }
    step_end(s, end, sizeof(end));
    if (s->now + 1 == s->run->nr_moments && !*note)
        note = end;
    put_line(LINES - 1, 0, COLS, *note ? note : "n next  p back  g go to  ? help  q leave");
    refresh();
}

static void show_help(void)
{
    erase();
    for (unsigned n = 0; n < sizeof(help) / sizeof(help[0]); n++)
        put_line((int)n + 1, 2, COLS - 2, help[n]);
    put_line(LINES - 1, 0, COLS, "any key goes back");
    refresh();
    getch();
}

/* Asks for a number. */
static void ask_step(struct step *s, char *note, size_t size)
{
    char text[16] = "";
    unsigned long number;

    move(LINES - 1, 0);
    clrtoeol();
    put_line(LINES - 1, 0, COLS, "go to step: ");
    echo();
    getnstr(text, sizeof(text) - 1);
    noecho();
    number = strtoul(text, NULL, 10);
    if (number >= 1 && number <= s->run->nr_moments)
        step_go(s, (uint32_t)number - 1);
    else
        snprintf(note, size, "there is no step '%s', the run has %u", text, s->run->nr_moments);
}

static void move_by(struct step *s, int64_t by)
{
    int64_t to = (int64_t)s->now + by, last = s->run->nr_moments - 1;

    step_go(s, (uint32_t)(to < 0 ? 0 : to > last ? last : to));
}

/* One key. False: leave. */
static bool take_key(struct step *s, int key, char *note, size_t size)
{
    static const struct {
        int key;
        int64_t by;
    } moves[] = {
        {'n', 1},
        {' ', 1},
        {KEY_RIGHT, 1},
        {KEY_DOWN, 1},
        {'p', -1},
        {KEY_LEFT, -1},
        {KEY_UP, -1},
        {KEY_NPAGE, 10},
        {KEY_PPAGE, -10},
        {KEY_HOME, INT32_MIN},
        {KEY_END, INT32_MAX},
    };

    for (unsigned n = 0; n < sizeof(moves) / sizeof(moves[0]); n++)
        if (moves[n].key == key)
            move_by(s, moves[n].by);
    if (key == 'g')
        ask_step(s, note, size);
    else if (key == '?')
        show_help();
    return key != 'q' && key != ERR;
}

/* Shows the run until the user leaves. 0, or -1 after saying why the terminal will not do. */
int step_screen(struct step *s)
{
    char note[80] = "";
    SCREEN *screen;
    int key;

    setlocale(LC_ALL, "");
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return vm_error("this terminal (TERM=%s) cannot be drawn on; --steps A..B prints text",
                        getenv("TERM") ? getenv("TERM") : "");
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    do {
        draw(s, note);
        note[0] = 0;
        key = getch();
    } while (take_key(s, key, note, sizeof(note)));
    endwin();
    delscreen(screen);
    return 0;
}
