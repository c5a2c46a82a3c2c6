<?php
// Says FOO, and the newest row of the database that BAR names.
header('Content-Type: text/plain');
mysqli_report(MYSQLI_REPORT_OFF);
$link = mysqli_init();
mysqli_options($link, MYSQLI_OPT_CONNECT_TIMEOUT, 3);
if (!@mysqli_real_connect($link, getenv('BAR') ?: 'db', 'intro', 'intro', 'intro')) {
    http_response_code(503);
    exit('no database: ' . mysqli_connect_error() . "\n");
}
$row = mysqli_fetch_row(mysqli_query($link, 'SELECT text FROM greeting ORDER BY id DESC LIMIT 1'));
echo 'FOO is ', getenv('FOO'), "\n";
echo 'the database says ', $row[0], "\n";
