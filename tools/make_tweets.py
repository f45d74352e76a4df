"""Write the small disaster-tweet set of the quick start, the same bytes for the same seed.

Every text is composed from hand-written frames; none is a real tweet and no real person is named.
The columns are those of Kaggle's "nlp-getting-started" training file. A keyword alone must not
give the label away, so each keyword has two kinds of frames:

* ``literal``: the tweet reports a real event (target 1);
* ``other``: a figure of speech, or a literal mention without an event, such as a drill, a film,
  a game, a history lesson, an advert or a title (target 0).

In a frame ``{slot}`` draws from ``SLOTS`` and ``[a|b|c]`` picks one of the choices (they nest).
Slots, openers, closers, tags and typing noise never look at the label, so that places, times,
numbers, links and punctuation are spread alike over both classes. The literal frames use everyday
words and the others use words of emergencies on purpose: only the sense separates them.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
from pathlib import Path
from typing import NamedTuple


class Frames(NamedTuple):
    """The frames of one keyword."""

    literal: tuple[str, ...]
    other: tuple[str, ...]


class Row(NamedTuple):
    """One generated tweet with the names of the frames in it (these are not written)."""

    keyword: str
    location: str
    text: str
    target: int
    frames: tuple[str, ...]


# Word lists stay several to a line, which keeps them readable.
# fmt: off
PLACES = (
    "Leeds", "Ashby", "Tampa", "Marlow", "Perth", "Oakdale", "Durban", "Fernhill", "Bristol",
    "Redwater", "Tulsa", "Kelso", "Norwich", "Santa Rosa", "Millbrook", "Galway", "Cebu", "Osaka",
    "Westport", "Harlow", "Boise", "Dunmore", "Lagos", "Pinecrest", "Cardiff", "Eastvale", "Quito",
    "Nashville", "Hobart", "Brackley", "Salem", "Izmir", "Lowfield", "Calgary", "Penrith", "Porto",
    "Greywater", "Naples", "Swansea", "Cedar Falls", "Pune", "Thornton", "Reno", "Whitby",
)

SLOTS: dict[str, tuple[str, ...]] = {
    "place": PLACES,
    "road": (
        "the A40", "Mill Lane", "Route 9", "Highway 12", "Station Road", "the ring road", "the M6",
        "5th Street", "the coast road", "Church Street", "the old bridge", "Elm Road", "the B3212",
        "King Street", "Exit 14", "the high street", "Canal Street", "Harbour Road", "I-80",
    ),
    "spot": (
        "the library", "the swimming pool", "our school", "the old mill", "the train station",
        "the shopping centre", "the town hall", "the stadium", "the church hall", "the airport",
        "the market", "the cinema", "the museum", "the gym", "the office park", "the harbour",
        "the hospital", "the theatre", "the campsite", "the bus depot", "the big supermarket",
        "the community centre", "the zoo", "the bakery", "the music school", "the garden centre",
    ),
    "who": (
        "my neighbour", "my boss", "our coach", "my sister", "my flatmate", "the lad next door",
        "my cousin", "my maths teacher", "my aunt", "the intern", "my best mate", "our landlord",
        "my brother", "my dentist", "mum", "dad", "grandad", "my hairdresser", "the babysitter",
        "my roommate", "our drummer", "my ex", "my partner", "the bus driver", "our postman",
    ),
    "when": (
        "this morning", "last night", "at 4am", "around 7.30", "on Tuesday", "an hour ago",
        "just now", "over the weekend", "yesterday", "at lunchtime", "on Friday night",
        "10 minutes ago", "before breakfast", "at half past 2", "this afternoon", "on the 14th",
    ),
    "soon": (
        "next Tuesday", "tonight", "this weekend", "on Saturday", "tomorrow", "at 6pm", "on Monday",
        "later today", "at noon", "on the 21st", "next week", "on Friday", "this evening",
    ),
    "today": ("tonight", "at 6pm", "at noon", "later today", "this evening", "within the hour"),
    "since": ("this morning", "last night", "Tuesday", "half past 2", "yesterday", "lunchtime"),
    "day": ("Tuesday", "6pm", "Saturday", "tomorrow", "noon", "Monday", "Friday", "the 21st"),
    "hour": ("6", "7", "8", "9", "10", "11"),
    "n": tuple(str(number) for number in range(2, 41)),
    "big": ("80", "120", "200", "around 300", "450", "600", "over 1000", "2,500", "nearly 5000"),
    "year": tuple(str(year) for year in range(1906, 2016, 3)),
    "event": (
        "fire", "wildfire", "explosion", "flood", "tsunami", "storm", "hurricane", "tornado",
        "blizzard", "earthquake", "landslide", "avalanche",
    ),
}
# fmt: on

FLAMES: dict[str, Frames] = {
    "fire": Frames(
        literal=(
            "[huge|massive|another] fire at {spot}, can see it from [my kitchen|the bus|work]",
            "the flat above {who} caught fire {when}, everyone out in [pyjamas|slippers|the rain]",
            "what is on fire near {road}? [sky is orange|ash all over my car|smoke in my hair]",
            "came home from [the gym|a date|a gig] to find our [garage|shed|kitchen] was on fire",
            "fire crews [still|now] at {spot} in {place}, {road} shut [both ways|until late]",
            "{who} left [a candle|the hob|a charger] on, no [roof|upstairs] left after the fire",
            "that [bakery|pub|cinema] we loved in {place} is gone, fire took the lot {when}",
            "[toaster|dryer|heater] fire on our street was no joke, {n} homes gone",
        ),
        other=(
            "{who}'s new [mixtape|haircut|lasagne|playlist] is actual fire, no survivors",
            "fire drill at {spot} {soon}, please walk out calmly and leave your [bags|coats]",
            "that [set|verse|beat|goal] {when} was fire, the whole of {place} felt it",
            "on fire at work this week, {n} [tickets|orders|essays] done and no crews needed",
            "heard they might fire {who} {soon}, {n} years at {spot} for nothing",
            "[used|new] fire [pit|alarm|blanket] for the [garage|kitchen|shed], half price {soon}",
            "watching the one where a whole [street|hotel|ship] catches fire, made in {year} too",
            "marshmallows on the fire near {place}, [sky is orange|smoke in my hair], bliss",
        ),
    ),
    "wildfire": Frames(
        literal=(
            "wildfire [jumped|has reached|is creeping up to] {road}, pack the car and [go|leave]",
            "{who} is [hosing down|clearing] the garden, wildfire is {n} miles off and moving fast",
            "the hills over {place} are glowing, wildfire [spread|doubled] since {since}",
            "so much for our [camping trip|wedding|hike], wildfire closed {spot} {when}",
            "{big} acres gone in the wildfire near {place}, worst [since {year}|season so far]",
            "horses from {who}'s yard need a field {today}, wildfire is [too close|at the gate]",
            "wildfire [haze|ash] in {place} so thick the kids had [lunch|sports day] indoors",
            "thank you to the crews who kept the wildfire off {spot}, you saved our [street|jobs]",
        ),
        other=(
            (
                "[gossip|the news|that photo] spread like wildfire round {spot}, all will "
                "know by {day}"
            ),
            "my [cough|cold] went through {spot} like wildfire... jk it's the [memes|dance craze]",
            "Wildfire is the best [horse|mare] {who} ever had, won {n} ribbons in {place}",
            "[our hot sauce|the new burger] Wildfire is back at {spot}, pack some [milk|tissues]",
            "page {n} of the wildfire novel and {place} is glowing, moving fast, can't put it down",
            "wildfire [science|ecology] lecture at {spot} {soon}, slides on the {year} season",
            (
                "he said it {when} and it went round {place} like wildfire, {n} texts before "
                "[lunch|tea]"
            ),
            "team Wildfire beat {place} {n} to 1, fans [on the street|at the gate] till late",
        ),
    ),
    "ablaze": Frames(
        literal=(
            "{spot} ablaze {when}, neighbours passing [buckets|blankets|tea] over the wall",
            "a [lorry|bus|caravan] is ablaze on {road}, nobody is getting to work",
            "woke up to the [hay barn|shop|roof] across from {who}'s place ablaze",
            "two [boats|vans|sheds] ablaze down by {spot}, you can [smell|hear] it from {road}",
            "[turbine|substation|warehouse] ablaze outside {place}, {n} engines there, lights out",
            (
                "the [pier|bandstand|old cinema] where we had our first date is ablaze, {place} "
                "in tears"
            ),
            "stuck on {road} {n} cars behind a [coach|camper|truck] that is properly ablaze",
        ),
        other=(
            "{place} ablaze with [colour|lights|autumn leaves] {soon}, go and see it from {road}",
            "my [cheeks|ears|lungs] were ablaze after {n} laps with {who}",
            "crowd at {spot} ablaze {when}, phones up, [lights out|roof off], what a [band|tune]",
            "Ablaze is track {n} and it is about the old cinema in {place}, in tears",
            (
                "that [vindaloo|ramen|chilli] from {spot} set my mouth ablaze, needed {n} "
                "buckets of tea"
            ),
            "group chat ablaze since {since} because {who} put [pineapple|beans] on the pizza",
            "in act 2 the [barn|ship|castle] is ablaze, all done with orange cloth, {who} directs",
        ),
    ),
    "smoke": Frames(
        literal=(
            "[thick|black|white] smoke pouring out of {spot}, kids lined up on [the grass|{road}]",
            (
                "smoke coming [through the vents|under the door] at {spot}, we're all outside, "
                "one missing"
            ),
            (
                "{who} took in too much smoke getting the [dog|cat|kids] out, kept in "
                "[hospital|overnight]"
            ),
            "can't see {road} for smoke, something [big|bad] is burning behind {spot}",
            (
                "keep windows [shut|closed] in {place}, smoke from the [tyre|paint|plastics] "
                "plant drifting"
            ),
            (
                "train stopped outside {place}, carriage {n} full of smoke, we are [on the "
                "track|walking]"
            ),
            (
                "the smoke over {spot} isn't a barbecue, [roof|top floor] has gone in and it's "
                "spreading"
            ),
        ),
        other=(
            "smoke [machine|effects] at {spot} so thick I danced with {who} by mistake",
            "{who} gave up the smoke breaks {n} days ago and is [unbearable|a new person]",
            "[ribs|brisket|salmon] in the smoke since {since}, kids lined up, windows open",
            "all smoke and mirrors from the [council|board|club], something big is coming {soon}",
            "we smoke {place} {n} to 2 and their fans leave by {road}, [bye|lol]",
            (
                "only smoke on {road} today is from {who}'s barbecue, roof still on, "
                "[burgers|kids] fine"
            ),
            "testing smoke alarms at {spot} {soon}, it will be loud, nothing is burning",
            "my [laptop|brain] will go up in smoke if I get {n} more [emails|forms] from {who}",
        ),
    ),
    "explosion": Frames(
        literal=(
            "[heard|felt] an explosion near {spot}, every car alarm on {road} is going",
            "explosion at the [paint|sugar|fireworks] factory in {place}, {n} taken to hospital",
            "windows blown in at {who}'s flat, they think a gas explosion on {road}",
            (
                "[my tea|the piano|our fridge] moved across the room, explosion {when}, street "
                "full of dust"
            ),
            "boiler explosion at {spot}, the [choir|yoga class|staff] got out by the back stairs",
            (
                "explosion under {road} took out the gas, {place} has no [hot water|ovens] and "
                "{n} are hurt"
            ),
            "anyone else in {place} hear that explosion {when}? there's a [crater|hole] by {spot}",
        ),
        other=(
            "explosion of [flavour|colour|glitter] at {spot}, {n} hearts on the wall, go see it",
            (
                "my [suitcase|wardrobe|craft room] looks like an explosion hit it and {who} is "
                "due {today}"
            ),
            (
                "every explosion in that film {when} was real, blew up {n} cars on [set|a model "
                "street]"
            ),
            "explosion in [bike sales|new cafes|house prices] round {place}, street full of them",
            "[kids|class 4] did the vinegar explosion at {spot}, volcano dust on the piano",
            "[nappy|porridge|yoghurt] explosion {when}, room full of it, taken {n} wipes so far",
            "turn the sound up, the explosion in level {n} nearly took out {who}'s speakers",
        ),
    ),
    "bomb": Frames(
        literal=(
            "bomb found under {road} by [builders|a dog walker], army there, {big} told to leave",
            "a bomb went off outside {spot} {when}, {who} was [two doors|a street] away",
            "[bus|train] turned round at {place}, bomb on the line, [robots|army] going in",
            "car bomb on {road}, windows gone at {spot}, [check on your mates|avoid the centre]",
            (
                "they set off that old {year} bomb on the beach and it broke [windows|roofs] in "
                "{place}"
            ),
            (
                "market in {place} hit by a bomb {when}, {n} hurt, [blood donors|nurses] asked "
                "to come in"
            ),
            "school kept inside all day, bomb threat at {spot}, parents [crying|waiting] on {road}",
        ),
        other=(
            "this [sandwich|soup|cake] from {spot} is the bomb, told {n} mates to come in",
            "[bath|photo] bomb by {who} {when}, beach pic of the year, windows down",
            "I bomb every [interview|quiz|driving test] in {place}, {n} so far, mates crying",
            "level {n}: plant the bomb under {spot}, leave by the [back|roof], [lol|easy]",
            "new [trainers|kitchen|boiler] cost a bomb and {who} still wants two",
            "talk on how they made safe the {year} bomb under {road}, {spot}, {soon}, tea after",
            "lowkey bomb [curry|tacos|pancakes] on {road}, army of students waiting outside",
        ),
    ),
    "meltdown": Frames(
        literal=(
            "reactor meltdown feared at the {place} plant, [iodine tablets|masks] at {spot}",
            "plant staff say core {n} is in meltdown, {road} full of [cars|buses] heading out",
            (
                "they're calling it a partial meltdown, {who} works there and [can't leave|won't "
                "pick up]"
            ),
            "don't drink the tap water in {place}, meltdown [alert|warning] since {since}",
            "cooling failed {when}, meltdown at unit {n}, schools [closed|being cleared] to {road}",
            "[steel|glass] works furnace meltdown in {place}, molten metal on the floor, {n} hurt",
            "{n} miles round the plant sealed off, meltdown is [real|worse than they told us]",
        ),
        other=(
            "toddler meltdown at {spot} because [the banana broke|socks|it was the wrong cup]",
            (
                "{who} had a full core meltdown {when}, somebody moved their "
                "[stapler|mug|parking cone]"
            ),
            "[ice lolly|cheese toastie|fondue] meltdown on my shirt, {n} minutes to the interview",
            "total meltdown by {place} {when}, {n} up at half time and they [lost|drew]",
            "my laptop is in meltdown, cooling fan failed, heading to {spot} {soon}",
            (
                "finished the series on the [1979|1986|2011] meltdown, core staff so well acted, "
                "can't sleep"
            ),
            (
                "meltdown alert: [exams|visa forms|wedding seating] since {since}, schools me "
                "every time"
            ),
            "Meltdown festival at {spot} {soon}, {n} bands, don't drink the [cider|tap water]",
        ),
    ),
}

WATER: dict[str, Frames] = {
    "flood": Frames(
        literal=(
            "[river|canal|brook] burst {when}, flood is up to the [letterbox|third step] on {road}",
            "{who} is carrying the [telly|hamster|photo albums] upstairs, flood coming in the back",
            "flood took the footbridge by {spot}, {n} of us on the wrong side with [no|wet] shoes",
            "sandbags at {spot}, bring [a shovel|mates|wellies], flood peak due {today}",
            "our [kitchen|nursery|studio] is under a metre of flood water, third time since {year}",
            "cows on {road}, boats in the car park, this flood in {place} is [unreal|horrible]",
            "flood water in the [wards|basement] of {spot}, moving {n} people to {place}",
        ),
        other=(
            "flood of [emails|tears|job offers] since {since}, I'm {n} deep, send sandbags",
            "hung {n} flood lights over the car park at {spot}, [match|bake off] {soon}",
            "memories flood back every time {who} plays that [song|photo album|old tape]",
            "flood [insurance|cover] from 9.99, {place} homes welcome, third month free",
            "fans flood {road} after {place} win the cup, boats, [cows|kids] and all",
            (
                "doing Noah's flood for the school play, {who} is [a camel|the third cow], I'm "
                "the water"
            ),
            "please don't flood my [timeline|inbox] with [boat|wedding|baby] pics, {n} was enough",
            "the {year} flood mark on the wall at {spot} is [above my head|up to the third step]",
        ),
    ),
    "drown": Frames(
        literal=(
            "saw a [lad|swimmer|dad] nearly drown off {place} {when}, lifeguards still with him",
            "two drown after [boat|kayak|ferry] tips over near {place}, third still missing",
            "{n} sheep drown as river comes over {road}, {who} out there [all night|in the dark]",
            "don't jump in [the quarry|the lock|the weir] by {spot}, a boy drowned there {when}",
            (
                "teacher pulled {n} kids out, said she thought they'd all drown when the "
                "[raft|ice] went"
            ),
            "cars stuck in the underpass on {road}, people could drown in there, [send boats|help]",
            (
                "they found {who}'s friend, drowned {when} at [the lake|the pier], please hug "
                "your people"
            ),
        ),
        other=(
            "drowning in [emails|laundry|marking|deadlines], send boats, {who} is no help",
            (
                "[pancakes|chips|waffles] at {spot} come drowned in [syrup|gravy|cheese], hug "
                "your waiter"
            ),
            "I drown out {who}'s [snoring|drumming|karaoke] with {n} hours of river sounds",
            (
                "learn to swim at {spot} {soon}, no kids will drown, lifeguards and [rafts|ice "
                "cream] ready"
            ),
            "drowned rat look today, {n} minutes walking down {road} in the [rain|dark]",
            "how do I always drown my [cactus|basil|orchid], third one this year",
            "the hero can't drown in level {n}, nearly threw the pad in the lake {when}",
            "going to drown my sorrows at {spot}, {place} lost [again|on penalties|at home]",
        ),
    ),
    "tsunami": Frames(
        literal=(
            "tsunami [warning|siren] in {place}, we ran up {road} with the [pram|dog|shopping]",
            "sea went [out|back] past the pier then came in, tsunami hit {spot} {when}",
            (
                "whole fishing fleet on top of {spot} after the tsunami, {big} still "
                "[missing|not found]"
            ),
            "{who} is on the hotel roof in {place}, tsunami took the [lobby|beach bar|road]",
            "second tsunami wave due {today}, do NOT go back for your [phone|car|bags]",
            "tsunami of {n} feet [measured|logged] off {place}, harbour empty, all on the hill",
            "school on the hill has {big} kids from the tsunami, need [rice|socks|mats]",
        ),
        other=(
            "tsunami of [homework|parcels|paperwork] hit my desk {when}, do NOT go in there",
            "[spilled|dropped] {n} pints {when}, beer tsunami took the phone, the bags, {who}",
            "tsunami evacuation practice at {spot} {soon}, walk up {road}, bring the [pram|dog]",
            "the [Little|Big] Tsunami surf cup in {place} sold out, {n} feet of foam, all fun",
            (
                "the tsunami scene in that [film|series] was a water tank and a [tiny|model] "
                "hotel roof"
            ),
            "[Tsunami roll|the tsunami bowl] at {spot}, rice, eel, second one free on the hill",
            "poll tsunami for the [greens|reds] in {place}, {n} seats, second wave due {today}",
        ),
    ),
}

WEATHER: dict[str, Frames] = {
    "storm": Frames(
        literal=(
            "storm took the roof off {spot}, [bits of it|tiles] all down {road}",
            "no power in {place} since {since}, storm [snapped|flattened] {n} poles",
            (
                "tree through {who}'s [bedroom|car|greenhouse] in the storm, they're ok, the "
                "[cat|van] isn't"
            ),
            "storm surge over the wall at {place}, {n} [cafes|beach huts|homes] washed away",
            (
                "[ferry|flight|school trip] stuck {n} hours in this storm, people being sick and "
                "praying"
            ),
            "crews clearing {road} after the storm, one driver [dead|badly hurt] at {spot}",
            "hail like [golf balls|eggs] in that storm, every [car|window] at {spot} smashed",
        ),
        other=(
            "took {place} by storm {when}, {n} encores and the roof came off",
            (
                "[storm in a teacup|not even a storm], {who} said sorry, school trip is on again "
                "{soon}"
            ),
            "curled up with [tea|the cat|a blanket], cosy little storm outside, love this sound",
            "sleeping to a storm playlist, {n} hours of hail and [waves|wind], no power needed",
            "{who} [cooking|dancing|baking] up a storm all weekend at {spot}, queue down {road}",
            "[Storm|Team Storm] flattened {place} {n} to 6, badly missed our keeper",
            "brain storm at {spot} {soon}, bring [pens|snacks|ideas], we are so stuck",
            "storm door and roof [tiles|bits] on offer, {road}, be ready before {day}",
        ),
    ),
    "hurricane": Frames(
        literal=(
            "hurricane eye over {place} now, [shutters|fence|palm tree] already in the pool",
            (
                "we stayed for the hurricane and it's bad, water in the [hall|car], {who} on the "
                "[sofa|roof]"
            ),
            "hurricane upgraded to 4, {road} one way out of {place}, fuel gone at {spot}",
            (
                "{big} in {spot} sitting out the hurricane, [babies|dogs] crying, roof "
                "[lifting|leaking]"
            ),
            "day {n} after the hurricane, still [cold beans|candles] and no signal on {road}",
            "hurricane put a [yacht|bus|shed] through {spot}, never seen {place} like this",
            "cruise cancelled, hurricane wrecked the port at {place}, {n} crew [missing|hurt]",
        ),
        other=(
            "two hurricane [cocktails|shots] at {spot} and {who} is on the roof singing",
            (
                "[my nan|Auntie Bee] the hurricane came for [lunch|one night], day {n} and no "
                "beans left in {place}"
            ),
            (
                "[tickets|front row] for the Hurricanes {soon}, {road} end, never seen {place} "
                "this loud"
            ),
            (
                "my hair after the [bike ride|hand dryer|convertible]: category 4 hurricane, "
                "candles please"
            ),
            "lit {n} hurricane lamps on {road} for the [wedding|party], palm trees, pool, perfect",
            "hurricane name list is out and {who}'s is on it, [so proud|so apt], crying",
            "the ride called Hurricane at {place} is one way up, {n} lifts, [stayed on|sick] twice",
        ),
    ),
    "tornado": Frames(
        literal=(
            "tornado on the ground by {spot}, [in the bath|under the stairs] with {who}",
            "tornado crossed {road} and took the [diner|petrol station|barn], just a slab now",
            "found our [trampoline|mailbox|wedding album] {n} fields away after the tornado",
            "{place} hit by a tornado {when}, {n} trailers [flipped|gone], need [water|tarps]",
            "sirens, green sky, then the tornado. [front of the house|garage|porch] is on {road}",
            "the tornado missed us by a street, {who} wasn't so lucky, [no walls|nothing] left",
            "{spot} packed with tornado families, [cots|diapers|socks] wanted {soon}",
        ),
        other=(
            "my [puppy|nephew] is a tornado, under the stairs, in the bath, {n} socks gone",
            "tornado potato at {spot}, {n} for a fiver, just a stick and [salt|joy]",
            "tornado drill {soon}, kids go in the [hall|gym] at {spot}, sirens are only a test",
            (
                "[storm chaser|tornado] sim is on sale, flipped {n} trailers with {who}, green "
                "sky looks lush"
            ),
            "a tornado of [leaves|feathers|crisp packets] spinning by {spot}, oddly pretty",
            "who left the [kitchen|bathroom] like a tornado came by {when}, was it {who}",
            (
                "{place} Tornados lost by {n}, no walls in that defence, nothing left in the "
                "[tank|bank]"
            ),
        ),
    ),
    "thunder": Frames(
        literal=(
            "thunder then a bang, [chimney|steeple|oak] at {spot} split in two and burning",
            "thunder storm flooded {road} in {n} minutes, [prams|cars|bins] floating past {who}",
            (
                "[hikers|golfers|scouts] hit during the thunder near {place}, {n} taken away by "
                "helicopter"
            ),
            "not just thunder, the [cliff|quarry face|dam] at {place} came down onto {road}",
            (
                "thunder over {place} knocked out power, {spot} on [candles|backup], two on "
                "[oxygen|vents] moved"
            ),
            "{who} thought it was thunder, it was the [gas tank|roof] at {spot} going up",
            "thunder, hail, and the [marquee|stage|big tent] came down on the crowd at {place}",
        ),
        other=(
            "[soft|distant] thunder over {place}, candles, tea, {who} asleep, perfect",
            "{who} stole my thunder {when}, got engaged on the stage at my [party|graduation]",
            (
                "Thunder win by {n} points at {spot}, crowd on its feet, came down to the last "
                "[shot|minute]"
            ),
            "thunder [thighs|legs] from {n} hikes up the cliff, {who} taken away by [cake|cramp]",
            "that drum solo was pure thunder, the big tent at {place} shook {when}",
            "my dog vs thunder: {n} to 0, he's in the [bath|wardrobe] shaking again, poor boy",
            "thunder on the wing for {place} {when}, hit the bar from {n} yards, what a [lad|girl]",
        ),
    ),
    "lightning": Frames(
        literal=(
            "lightning hit the [goalposts|bandstand|mast] at {spot}, {n} kids on the ground",
            "lightning struck {who}'s [roof|barn|loft], they have one [wall|room] left",
            "park run stopped, lightning got a runner by {road}, [doctors|strangers] doing CPR",
            "{n} [cows|sheep|trees] down after one lightning bolt outside {place}",
            (
                "lightning took out the signals, train with {big} on it hit the "
                "[buffers|barrier] at {place}"
            ),
            "the thatch on {road} is burning, lightning {when}, pass [hoses|buckets] from the pond",
            "camp at {place} cleared, lightning killed [a scout|two climbers] on the ridge",
        ),
        other=(
            "lightning [sale|deal], {n} kids coats, one room left to clear at {spot}",
            (
                "{who} is lightning over the [first mile|hurdles], park run done in {n}, doctors "
                "baffled"
            ),
            "lightning never strikes twice yet {place} won the [raffle|cup] again, pass the tea",
            (
                "bought the wrong lightning cable [again|twice], {n} trees worth of packing from "
                "{spot}"
            ),
            "played a lightning round at the pub quiz, {n} down, one killed us: [cows|signals]",
            "lightning safety talk for scouts at {spot} {soon}, then [hot dogs|a camp fire]",
            "photo of lightning over the ridge at {place}, {n} second exposure, so [pleased|lucky]",
        ),
    ),
    "blizzard": Frames(
        literal=(
            "{n} cars buried on {road}, blizzard still going, people [sharing crisps|out of fuel]",
            "blizzard day {n}, {spot} roof gave in under the snow, [two|nine] inside",
            "{who} walked off to get [milk|signal] in the blizzard and hasn't come back",
            "mountain team out in the blizzard for [two skiers|a school group] above {place}",
            "blizzard has cut {place} off, [dialysis|baby milk|insulin] being flown in {today}",
            "found the [postie|old man] from {road} in his car, blizzard got him, heart broken",
            "no heat, {n} below, blizzard brought the [wires|pylons] down over {place}",
        ),
        other=(
            "[oreo|mint|caramel] blizzard from {spot}, {n} spoons, heart broken it's gone",
            (
                "blizzard of [confetti|feathers|paper] at {spot} {when}, {who} still has it in "
                "their hair"
            ),
            (
                "Blizzard put {n} new skins in the game, servers brought down {when}, people out "
                "of cash"
            ),
            (
                "love a blizzard when there's [soup|milk|crisps] in and no school, {place} looks "
                "like a card"
            ),
            "{who} in my blizzard photo from {year}, sledge, hat, one tooth, roof of the car",
            (
                "reading a murder mystery, [two|nine] inside a hotel, blizzard outside, heat "
                "off, love it"
            ),
            "winter tyres at {spot}, don't wait for a blizzard, book {soon}, {n} cars a day",
        ),
    ),
}

GROUND: dict[str, Frames] = {
    "earthquake": Frames(
        literal=(
            "earthquake! [lamp|bookshelf|telly] down, we're all stood on {road} in [socks|towels]",
            "[strong|long] earthquake in {place} {when}, the [clock tower|school wing] has dropped",
            "{who} felt the earthquake at {spot}, ceiling came in over the [tills|cots|desks]",
            "digging by hand at {spot}, earthquake got them during [lunch|choir practice]",
            "aftershock {n} since the earthquake, nobody in {place} will sleep [indoors|upstairs]",
            "[5|6].[1|3|4|7] earthquake off {place}, [dam|bridge] cracked, {big} being moved",
            (
                "our [wine shop|museum|nursery] floor is all glass from the earthquake, {n} cut, "
                "one bad"
            ),
        ),
        other=(
            "earthquake drill {soon}, [class|staff] at {spot} get under the desks, no real danger",
            "the bass at {spot} {when} was an earthquake, ceiling dust in my [pint|socks]",
            "writing an essay on the {place} earthquake of {year}, {n} pages, nobody will sleep",
            "when {who} [sneezes|laughs|runs upstairs] it's a [5|6].[1|3|4|7] earthquake on {road}",
            "earthquake kit sale, torch, glass cleaner, [water|towels], by the tills at {spot}",
            "board game night: earthquake card took my [dam|bridge|museum], {who} won by {n}",
            (
                "political earthquake in {place}, mayor of {n} years dropped, [long|strong] "
                "lunch to follow"
            ),
        ),
    ),
    "landslide": Frames(
        literal=(
            "landslide across {road}, a [bus|milk tanker|school minibus] is under it",
            "hill behind {spot} came down, landslide took {n} [chalets|gardens|graves]",
            "{who}'s village above {place} is just mud, landslide {when}, [phones|roads] dead",
            "landslide blocked the line, passengers walking to {place} in [heels|the rain]",
            "day {n}, dogs still searching the landslide, families [wait|sing] at {spot}",
            (
                "[cracks in|water under] the road, then the landslide, our [cafe|goat shed] went "
                "with it"
            ),
            "engineers say the {place} landslide is still moving, {big} [not|never] allowed home",
        ),
        other=(
            (
                "won by a landslide, {who} is now head of the [allotment|parents] group, {n} "
                "votes to 2"
            ),
            "[Landslide|the Landslide cover] came on at {spot} and the families wait in tears",
            "landslide for [the yellows|yes] in {place}, {big} votes, phones dead from texting",
            "landslide of [books|tupperware|tins] when I open that cupboard, {who} is under it",
            "geography trip: old landslide of {year} above {place}, mud, [heels|trainers], no wifi",
            "in the model railway at {spot} a landslide blocked the line, it's [rice|tea leaves]",
            "engineers' talk: how a landslide starts, {spot}, {soon}, water and [biscuits|cake]",
        ),
    ),
    "sinkhole": Frames(
        literal=(
            "sinkhole ate {who}'s [van|driveway|hot tub] {when}, you can hear water down there",
            "sinkhole on {road} is [a bus|three cars] wide and growing, gas [off|leaking]",
            "{n} houses in {place} empty {today}, sinkhole cracked the [walls|main]",
            "cyclist fell in the sinkhole by {spot}, [ropes|crane] being sent down",
            (
                "half the [pitch|car park|playground] at {spot} has dropped, sinkhole under it "
                "all along"
            ),
            (
                "they filled the sinkhole on {road} in {year} and it's back, took a [lorry|bin "
                "wagon] in"
            ),
            "sleeping at mine: {who} and {n} cats, sinkhole opened under their [kitchen|stairs]",
        ),
        other=(
            "this sofa is a sinkhole, lost {n} remotes, [keys|crisps] and {who} in it",
            "my [phone|bike|boat] is a money sinkhole, {n} quid to mend it {when}",
            "sinkhole tour near {place}, ropes, [bats|wild swimming], water so clear",
            "[tiktok|that game|crosswords] is a sinkhole, sat down {when} and now it's {day}",
            "episode {n}, the sinkhole opens and it's just [a portal|the lizard king], great telly",
            "kids dug a sinkhole on {place} beach, three [buckets|dads] wide and growing",
            "museum in {place} has cars from the {year} sinkhole, [mud|price tags] left on",
        ),
    ),
    "avalanche": Frames(
        literal=(
            "avalanche above {place}, [ski class|two guides|a snowplough] not answering",
            "they dug {who} out of the avalanche after {n} minutes, [blue|cold] but talking",
            "avalanche ran right over {road} into {spot}, snow up to the [bar|second floor]",
            "beeping from under the avalanche, every [cook|waiter] in {place} has a shovel",
            "lifts shut, avalanche took the [hut|chairlift], {n} of our tour group not back",
            "[husky|dog team] found two in the avalanche by {place}, third still under",
            "honeymoon over, avalanche hit the [chalet|bus], we're ok, the [driver|cook] isn't",
        ),
        other=(
            "avalanche of [parcels|laundry|birthday cards] hit {spot}, {n} still under there",
            "opened the cupboard, avalanche of [pans|toys|socks], {who} shut inside, beeping",
            "Avalanche up 3 in {place}, second period, every waiter here has a [shirt|flag] on",
            "avalanche of [praise|abuse|likes] for {who} {when}, talking {big} comments",
            "took the avalanche course at {place}, dug out {n} [dummies|rucksacks], cold but happy",
            "cheese avalanche burger at {spot}, snow of parmesan up to the [bun|second floor]",
            "avalanche dog visits {spot} {soon}, kids can hide in the [hut|snow] and be found",
        ),
    ),
    "collapse": Frames(
        literal=(
            (
                "[scaffolding|balcony|car park] collapse on {road}, {who} was under it {n} "
                "minutes before"
            ),
            "saw {spot} collapse {when}, just dust and [phones ringing|car alarms]",
            "bridge collapse at {place}, a [tram|coach|wedding car] went in the river",
            "mine collapse near {place}, {n} on shift, wives [waiting|singing] at the gate",
            "the stand collapse at {spot} put half our [under 12s|brass band] in hospital",
            (
                "they heard tapping after the collapse, [neighbours|bakers] digging with pans on "
                "{road}"
            ),
            "floor collapse at a [party|wedding] in {place}, {n} fell through mid song",
        ),
        other=(
            "going to collapse on the sofa, {n} hour shift at {spot} and [no|one] lunch",
            "[top order|defence|midfield] collapse by {place}, {n} all out before tea",
            "my [souffle|tent|jenga tower] collapse was {who}'s fault, mid song, in dust",
            "I collapse [laughing|in giggles] whenever {who} tries to sing at {spot}",
            "lecture on the bridge collapse of {year} in {place}, [coach|tram] leaves {soon}",
            "collapse the [buggy|table|pram] and it fits under any bed, demo at {spot}",
            "[deal|merger] collapse in {place}, shares fell {n} points, phones ringing",
        ),
    ),
}

IMPACT: dict[str, Frames] = {
    "crash": Frames(
        literal=(
            "[bad|nasty|head-on] crash at {road}, {n} cars, one on its [roof|side]",
            (
                "held a stranger's hand for {n} minutes after that crash by {spot}, [hope she "
                "lives|shaking]"
            ),
            (
                "crash on {road}, bread lorry vs [bus|tram|school van], kids [bleeding|crying] "
                "on the verge"
            ),
            "small plane crash in the field behind {who}'s [house|barn], wing in the [pond|hedge]",
            "{who} won't be at [band practice|the match|work], crash {when}, surgery {soon}",
            (
                "[stock car|bike|horsebox] came over the crash barrier into the crowd at "
                "{place}, {n} hurt"
            ),
            "avoid {road}, crash by {spot}, [air ambulance|fire engine] just landed in the park",
        ),
        other=(
            "[laptop|app|website] crash {when}, {n} hours of surgery notes gone, crying",
            "can I crash at {who}'s [house|barn] {soon}? band practice in {place} runs late",
            "crash course in [pottery|welding|bread] at {spot}, {n} places, kids welcome",
            "[sugar|nap] crash hit {who} in the park, landed face first in a hedge, fine",
            "stock crash of {year} explained with [biscuits|lego], teacher at {spot} is a star",
            "we might crash the wrong [wedding|party], {road} has two and one has a [band|bus]",
            "crash test [dummy|car] on show at {place}, wing off, one on its roof, wear a belt",
            "[crash|Crash] bandicoot speedrun, {n} lives left, hand shaking by the barrier jump",
        ),
    ),
    "wreck": Frames(
        literal=(
            "wreck on {road}, [jack-knifed|three car], {who} saw them cut the driver out",
            "pulled over for a wreck near {place}, [two teens|a mum], I'll not forget it",
            "the ferry wreck off {place}, divers found {n} so far, [coats|toys] on the beach",
            "late again, wreck at {spot}, tow trucks and a [sheet|priest] on the verge",
            "{who}'s truck was the wreck on the news {when}, broke [both legs|her hip]",
            "train wreck outside {place}, [seats|suitcases] all over the [golf course|allotments]",
            "{n} car wreck in the fog by {road}, [nurses|bikers] going car to car",
        ),
        other=(
            "that exam wrecked me, {n} questions on [fog|divers|enzymes], I'll not forget it",
            "emotional wreck after the [finale|wedding|school play], {who} had to tow me home",
            (
                "dived the old wreck off {place}, {n} metres, seats and [toys|bottles] still "
                "there, wow"
            ),
            "nervous wreck, driver's test {soon} at {road}, both legs [jelly|gone]",
            "[the room|my fringe|this flat] is a wreck, {who} let two teens and a dog in",
            "reality telly train wreck, [three|{n}] brides and a priest, cut to golf",
            "don't wreck your [knees|back|hip], nurses run a stretch class at {spot} {soon}",
        ),
    ),
    "derailed": Frames(
        literal=(
            (
                "the [7.12|9.40|sleeper|stopping train] derailed outside {place}, carriages down "
                "the bank"
            ),
            "tram derailed into {spot}, [shoppers|students] under it, {who} saw the whole thing",
            "freight train derailed by {road}, [chlorine|oil] leaking, told to stay in",
            (
                "my coach is on its side, we derailed near {place}, people [climbing out|singing "
                "to kids]"
            ),
            (
                "[ghost train|coaster|mini train] derailed at {place}, {n} taken off by ladder, "
                "two bad"
            ),
            "night shift cancelled, hospital needs [all hands|blood], derailed metro under {road}",
            "derailed {when}, {n} wagons in the river at {place}, crew of [two|three] not found",
        ),
        other=(
            "[meeting|lesson|date] derailed by {who} and a story about {n} wagons of cheese",
            "diet derailed {when}, [cake|pie|chips] at {spot}, the whole thing, on my side",
            (
                "model train derailed {n} times, blame the [cat|bank holiday glue], carriages "
                "under sofa"
            ),
            "a late [penalty|red card] derailed {place}'s season, coach told to stay in",
            "our [thesis|podcast|album] got derailed by babies, night shift and {who}",
            "Derailed is on at {spot} {soon}, {year} noir, a metro, a ladder, two [bad|odd] men",
            "talks derailed again in {place}, {n} unions walked out, crew pay [cut|on hold]",
        ),
    ),
    "injured": Frames(
        literal=(
            "{n} injured at {spot} when the [stage|escalator|bouncy castle] gave way",
            "{who} is among the injured in {place}, [sat up|talking] now, thanks for texts",
            "treating injured on the floor of the [nail bar|chip shop] on {road}, send bandages",
            "bus on its side, {n} injured, [football team|pensioners] on a day out from {place}",
            "injured still coming in from the [rally|market|festival], every bed at {place} taken",
            (
                "injured [climber|walker|angler] on the ledge since {since}, team can't land in "
                "this wind"
            ),
            "[lad|girl] from our class injured in what happened at {spot}, vigil {soon}",
        ),
        other=(
            "[striker|keeper|captain] injured again, out {n} weeks, {place} can't land a break",
            "only thing injured at {spot} {when} was my [pride|ego|bank card], sat up, bowed",
            "injured at work? call [us|now], {place} claims team, {n} years, no win no fee",
            "injured [owl|hedgehog|swan] from {road} all mended, back to the wind {soon}",
            (
                "paint on fake blood, be an injured [walker|bus passenger] for the nurses' test "
                "at {spot}"
            ),
            "{who} injured a [toe|thumb] playing [chess|charades], demands bandages and a vigil",
            (
                "fantasy team: {n} injured, whole bench out, still beat {who}, thanks for "
                "[texts|nothing]"
            ),
        ),
    ),
    "casualties": Frames(
        literal=(
            "casualties being brought to {spot}, if you're [a vet|a nurse|first aid] come",
            "first list of casualties from {place} is up, {who}'s [teacher|boss] is on it",
            "no parking by A&E, {n} casualties from the [pier|coach|club] due",
            "casualties at the [wedding|derby|carnival] in {place}, a [wall|tent] came in",
            "they say casualties are low but I counted {n} [stretchers|covers] on {road}",
            "casualties rising in {place}, [rink|school gym] now a ward, bring [ice|soup|socks]",
            "farm casualties too: {n} [hens|cows], and the [boy|man] who went in for them, {when}",
        ),
        other=(
            "casualties of house move: {n} mugs, a [vase|lamp|chair] and {who}'s patience",
            "no casualties on the [school trip|hen do|cruise] so far, I counted {n} twice",
            "the Casualties are playing {spot} {soon}, punk, [loud|sweaty], bring socks",
            (
                "casualties from the sales: [toys r ours|the shoe place|a tea shop] on {road} is "
                "closing"
            ),
            "roll {n} or more to keep casualties low, [orc|elf] ward adds two, brought snacks",
            (
                "role players wanted as casualties for the [nurse|cadet] exercise at {spot}, "
                "soup given"
            ),
            "read the list of {year} casualties on the {place} memorial, a [baker|farm boy] of 19",
        ),
    ),
}

PEOPLE: dict[str, Frames] = {
    "trapped": Frames(
        literal=(
            (
                "{n} trapped in the [lift shaft|cellar|loft] at {spot}, water rising, "
                "[drills|pumps] sent"
            ),
            "{who} is trapped under [a beam|the desk], texting us, please hurry to {road}",
            (
                "[miners|cavers|divers] trapped near {place} since {since}, one air hole, "
                "families there"
            ),
            "people trapped on the top floor of {spot}, waving [towels|tea cloths], flames below",
            (
                "driver trapped in a lorry by {road}, strangers [talking|singing] to him till "
                "crews come"
            ),
            "kids trapped on the [minibus|sandbank|roof] by the tide, {place} boats going out",
            "still trapped, {n} of the [night cleaners|bakers], after the ceiling fell {when}",
        ),
        other=(
            "trapped in a [meeting|zoom|lecture] since {since}, no air, please hurry {day}",
            "{who} has me trapped by the [buffet|photocopier|fish tank] with {n} holiday snaps",
            "trapped under a sleeping [cat|baby|labrador], waving at the tea, families there know",
            (
                "[escape room|puzzle night] at {spot}: you are trapped, {n} minutes, water "
                "rising, fun!"
            ),
            "feel trapped in this [job|town|lease], one day I'll go, {place} or the moon",
            "trapped [nerve|wind] again, {who} says [yoga|peppermint] helps, no drills",
            "film night: divers trapped, one air hole, {n} stars, ceiling fell off my [crisps|jaw]",
        ),
    ),
    "rescue": Frames(
        literal=(
            "rescue boat out off {place}, [paddleboarder|dad and son] swept past the buoy",
            "cave rescue in hour {n}, they can hear [knocking|singing], need [divers|pumps]",
            "helicopter rescue from the roof of {spot}, {who} filmed it, [scary|hands shaking]",
            "rescue teams from {place} arriving to dig, {n} still under the [flats|school]",
            "mountain rescue bringing {who}'s hiking group down, one [fell|not breathing]",
            "rescue is over, now a recovery, candles at {spot} for the [crew|twins] {soon}",
            (
                "{road} under water, neighbours doing the rescue in [kayaks|a paddling pool], "
                "{n} out so far"
            ),
        ),
        other=(
            (
                "our rescue [greyhound|cat|hen] turns [2|3|5|9] {soon}, candles, singing, hands "
                "off the cake"
            ),
            "coffee to the rescue, {who} filmed me [knocking|falling] over a chair at {spot}",
            "{who} to the rescue with a [spare tyre|phone charger|hot pie], not all heroes dig",
            (
                "rescue centre near {place} has {n} [kittens|donkeys|ferrets], one breathing on "
                "my neck"
            ),
            "toy rescue helicopter lost on {road}, [twins|son] in bits, dad too",
            "rescue [remedy|mask] for dry hair, {n} off at {spot}, candles half price",
            "sea rescue open day in {place}, sit in the boat, hear divers, [pasties|balloons]",
            "mission {n}: rescue the crew from the roof, then the boat, then [tea|bed]",
        ),
    ),
    "panic": Frames(
        literal=(
            "panic at {spot} after the [bang|shots|lights fell], people climbing over prams",
            "crush in the [tunnel|stairwell] at {place}, panic and no way back, {n} down",
            (
                "panic on {road}, they say the [dam|tank|ridge] is going, cars [on "
                "pavements|left open]"
            ),
            "{who} got knocked flat in the panic when the [train|hall] filled with fumes",
            "no panic yet in {place} but the [sea wall|river bank] won't hold, {big} moving out",
            "teacher stopped the panic, got all {n} out before the [roof|boiler] went at {spot}",
            (
                "[ferry|ride|cable car] tilting, panic on board, staff [crying|praying] too, off "
                "{place}"
            ),
        ),
        other=(
            "panic [bought|baked] {n} loaves before {who} visits, staff crying, no way back",
            "panic [at|over] {spot}: someone said the [printer|tea urn|wifi] is going",
            "Panic at {place} [disco|open mic] {soon}, roof terrace, train home at {n} past",
            "do not panic, it's only [monday|maths|a mock], {who} got {n} and is fine",
            "[gps died|lost my keys|phone at 2%], mild panic on {road}, then found a pub",
            (
                "panic button in the [office|game] is just a lamp, pressed it {n} times, nobody "
                "moved lol"
            ),
            "wrote {n} words in a panic {when}, essay on [crush|crowd] theory, hall closes {soon}",
        ),
    ),
    "screaming": Frames(
        literal=(
            "screaming from {spot}, then [glass|brick] everywhere, ran with {who}",
            (
                "neighbours screaming for help on {road}, [stairs|porch] gone, baby passed out a "
                "window"
            ),
            "I can still hear them screaming, the [raft|bus|ride] went over at {place} {when}",
            "woke to screaming, our [campsite|hostel] in {place} is under water, {n} lost",
            "people ran out of {spot} screaming, a [van|truck] drove into the [queue|cafe tables]",
            "screaming on the line when {who} rang, the [ward|hall] was coming down round them",
            "[gale|wind] screaming through {place}, roofs off, {n} of us in one cellar",
        ),
        other=(
            "screaming!! got [tickets|the job|an A], ran round {spot} with {who}, help",
            "screaming at the telly, {place} put {n} over the bar, [glass|brick] hands",
            "[goat|baby|parrot] on {road} has been screaming since {since}, window shut, no use",
            "screaming into a pillow, {who} rang in [sick|tears] and it's {n} covers {soon}",
            "front row for [the band|them], all screaming, came out of {spot} with no voice",
            "screaming [deal|bargain], {n} tents for a tenner, campsite shop in {place}",
            "that ride at {place}, over the top, screaming, {n} goes, [no|out of] cash now",
        ),
    ),
    "evacuation": Frames(
        literal=(
            "evacuation of {place} ordered, {who} won't leave the [hens|piano|bakery]",
            (
                "evacuation bus full, {n} left on {road} with [pillowcases|a parrot], water at "
                "the kerb"
            ),
            "hospital evacuation in the dark, [porters|students] carrying beds down {n} floors",
            "mandatory evacuation {today}, dam by {place} [leaking|cracked], go to {spot}",
            "after the evacuation we found {road} [looted|burnt|flat], can't take it in",
            "evacuation of the [oil rig|cruise ship] off {place}, {n} in the sea",
            "[chemical|gas] leak, evacuation of {spot} went wrong, {n} on the grass coughing",
        ),
        other=(
            "evacuation [practice|drill] at {spot} {today}, {n} floors in 3 minutes, then cake",
            (
                "office evacuation because {who} [burnt toast|microwaved fish], {n} on the "
                "grass, bants"
            ),
            (
                "learning about evacuation in [1939|1940|1941], [kids|gas masks] on a train to "
                "{place}, took it in"
            ),
            (
                "{hour} o'clock evacuation of the pub, [last bus|quiz over], {who} won't leave "
                "the crisps"
            ),
            "evacuation chair [training|course] {soon}, go to {spot}, staff carrying me was fun",
            "mass evacuation of my [fridge|inbox|wardrobe], {n} jars in the bin, one leaking",
            "evacuation game on my phone, got all [hens|miners] off the ship, {n} stars",
        ),
    ),
    "quarantine": Frames(
        literal=(
            "ship held in quarantine off {place}, {n} ill, [two|one] died {when}",
            "whole street in quarantine, {spot} is a ward, [fever|cholera] cases up to {n}",
            "{who} is in quarantine after the [lab|clinic] spill, room {n}, can't see the kids",
            (
                "quarantine for {place} {today}, [measles|diphtheria] got into the school, army "
                "at {road}"
            ),
            "food dropped at the gate, day {n} of quarantine, we lost [gran|our teacher] to it",
            "farm quarantine at {place}, [bird flu|foot and mouth], {big} to be put down",
            "doctors at {spot} say quarantine came too late, {n} new [deaths|wards], no masks",
        ),
        other=(
            "quarantine [hobby|puppy|sourdough] turns [1|2|5], gate open, kids all over it",
            "put the new [fish|plant] in quarantine for {n} days, {spot} says it saves the tank",
            "virus in an email, file in quarantine, {who} clicked [it|twice], no one died",
            "remember our quarantine quizzes? {who} wore a [tinsel|toilet roll] mask for all {n}",
            "quarantine is a dull film, {n} people, [one ship|one street], fever acting",
            "old quarantine [station|ship] of {year} opens for tours {soon}, meet by {spot}",
            "I'd quarantine [glitter|recorders|slime], whole street agrees, day {n} of half term",
        ),
    ),
    "outbreak": Frames(
        literal=(
            "outbreak at {spot}, {n} [kids|cooks|guests] in hospital, do not eat the [ham|oysters]",
            "cholera outbreak in the camp by {place}, {n} [tents|families] hit, clean water gone",
            "{who} nurses on the outbreak ward, {n} beds, no [gloves|sleep], lost two {when}",
            "school in {place} shut, meningitis outbreak, [one girl|a dad] didn't make it",
            "outbreak spread by the [wedding|choir tour], {place} tracing {big} people",
            "[e coli|listeria] outbreak from a [salad|cheese] made near {place}, kidneys failing",
            "third outbreak at the [care home|barracks] on {road}, {n} gone since {year}",
        ),
        other=(
            "outbreak of [moustaches|engagements|sourdough] at work, tracing it to {who}",
            "outbreak of [sunshine|good manners] in {place}, {n} degrees, do not eat indoors",
            "playing Outbreak with {who}, {n} beds lost, [cholera|zombie] ward down, no sleep",
            "sudden outbreak of applause at {spot} when the [choir|cook] dropped {n} plates",
            "history of the {year} cholera outbreak, a pump, a map, talk at {spot} {soon}",
            "an outbreak of [yawns|giggles] hit my maths class, {n} gone, I didn't make it",
            "zombie outbreak [walk|run] in {place}, families welcome, clean up at {spot}",
        ),
    ),
}

ALARM: dict[str, Frames] = {
    "siege": Frames(
        literal=(
            "siege at {spot}, armed police on {road}, [staff|customers] still in there",
            "{who} texted from inside the siege, hiding behind the [freezers|coats|copier]",
            "hour {n} of the siege in {place}, they let two [kids|mums] go for pizza",
            "city under siege, {n} days no bread, shells on [the market|our school] {when}",
            "shots heard, siege in the [bank|cafe] by {spot} ended [badly|with two dead]",
            "locked in at work, siege across {road}, [lights off|on the floor], love you all",
            "siege near {place}: man with a [gun|bomb vest] has the bus, {n} on board",
        ),
        other=(
            "[wasps|toddlers|seagulls] have us under siege at {spot}, pizza gone, love you all",
            "siege of the castle re-enacted {soon}, {n} knights, [bread|cider] tent, kids go free",
            "ranked siege {today}? {who} has the lobby, need {n} wins, no [campers|shouting]",
            "under siege from [wedding planners|estate agents], {n} calls, hiding behind coats",
            "siege mentality at {place}, coach locked the press out, [two|{n}] wins since",
            "seven days into a siege in this book, city has [no|one] bread, wow, page {n}",
            (
                "the {year} siege of {place} room at the museum, shells, a [gun|drum], two mums "
                "lost in there"
            ),
        ),
    ),
    "blackout": Frames(
        literal=(
            "blackout across {place}, {n} stuck in [lifts|the tube], a man on oxygen died",
            "hour {n} of the blackout, {spot} generator failed, [babies|patients] bagged by hand",
            "lights out, no lights on {road} either, blackout caused a [pile up|bus crash]",
            "{who} fell on the stairs in the blackout, [no phones|no one] to ring, road iced",
            "grid down, blackout since {since}, {n} below, [old folks|kids] in coats at {spot}",
            "substation went up and now it's a blackout, {big} homes, [shops|chemist] smashed",
            "blackout in {place} ward, surgeons using [phones|torches], please save power",
        ),
        other=(
            "blackout [blinds|curtains], best buy of the year, babies asleep till {n} past",
            "blackout cake from {spot}, {n} layers, please save me a [slice|fork]",
            "social media blackout till {day}, no phones, no one to ring, [bliss|coats on, out]",
            "act {n}, blackout on stage, {who} fell off it, crowd at {spot} [cheered|gasped]",
            "blackout bingo at {spot} {when}, {who} needed {n} and got it, smashed a [glass|torch]",
            "gran on the {year} blackout: no lights on {road}, bumped into her [husband|goat]",
            "{n} tequilas, total blackout {when}, why is there a [cone|trolley] at home",
        ),
    ),
    "sirens": Frames(
        literal=(
            "sirens all down {road}, they're carrying [kids|people] out of {spot} in blankets",
            "tornado sirens then nothing, {who}'s [street|trailer park] isn't there now",
            "{n} ambulances, sirens, whole of {place} heard the [boom|roof go] {when}",
            "air raid sirens in {place}, [metro|cellar] full, they hit {spot} {when}",
            "sirens since {since}, the dam sirens, [run|get up the hill], {place}!",
            "followed the sirens to work, my [office|shop] is the one that's burning",
            "no sirens yet and we've {n} people in the [lake|river] by {spot}, where are they",
        ),
        other=(
            (
                "sirens on {road} all day, it's the [carnival|charity run], {n} fire engines, "
                "kids wave"
            ),
            "sirens test {soon} in {place}, it is short, no [hill run|action] needed",
            "{who} can do sirens with their [nose|trombone], {place} heard it {when}",
            "reading the myth with the Sirens, {n} sailors, a [lake|mast], wax in ears, wow",
            "new track Sirens is out, [boom|cellar] bass, {n} plays and I'm up the wall",
            "the sirens in my head when {who} says we need [a chat|to talk|a budget]",
            "Sirens roller derby at {spot} {soon}, blankets, pies, [whole|half] of {place} goes",
        ),
    ),
    "drought": Frames(
        literal=(
            "drought day {n}, queueing at {spot} for [a bucket|one bottle] of water",
            "{who} shot {n} [cows|ewes] {when}, drought, nothing left to feed them",
            "drought has {place} reservoir at {n} percent, [taps off|hospitals on tankers] {today}",
            "kids walking past {road} for water, drought worst since {year}, [two|one] died",
            "crops dead from here to {place}, drought, [school|half the village] has moved away",
            "[clinic|food bank] at {spot} swamped, drought hunger, babies with {n} days of milk",
            "drought killed the lake, {big} fish on the mud by {place}, [smell|flies] awful",
        ),
        other=(
            "goal drought over! {who} scores after {n} games, half of {place} has moved away lol",
            "[dating|holiday|tiktok] drought, day {n}, nothing left to feed my soul",
            "drought-proof [cactus|lavender] at {spot}, {n} percent off, one bottle of feed free",
            "trophy drought since {year}, taps on, [beer|kids] all over {road}, {place} won it",
            "no [signed books|new music] from {who} in {n} years, worst drought ever, queueing",
            "drought in the dust bowl, reading that {year} novel for school, [cows|mud], so long",
            "content drought so here's {n} pics of my [dog|fish|lunch] by the lake at {place}",
        ),
    ),
    "emergency": Frames(
        literal=(
            "emergency landing at {place}, wheels [gone|jammed], saw it slide past {road} smoking",
            "emergency at {spot}, floor [gone|flooded], {n} in the deep end, lifeguard down",
            "state of emergency in {place}, {road} in the sea, [bread|fuel] flown in",
            "emergency crews cutting {who} out, wall of the [kebab shop|barbers] fell {when}",
            "emergency shelter at {spot}, {n} beds, [pets|prams] ok, come if your home is gone",
            "{place} [mast|pipeline] down, emergency line dead, drive the hurt to {spot}",
            "emergency surgery on {n} from the [coach|tram] all night, {who} on shift, no words",
        ),
        other=(
            "emergency [chocolate|tea bags|biscuits] gone, who did it, {who}? state of this office",
            (
                "fashion emergency, {n} minutes to [the wedding|prom], zip jammed, {who} cutting "
                "me out"
            ),
            "emergency [contact|fund] form due {soon}, drive it to {spot}, line is long",
            "group emergency: {who} likes [the barber|a pet psychic], all night call {today}",
            "[saving for|got] an emergency fund, {n} quid, then a [coach trip|kebab], gone",
            "emergency exit row on the flight to {place}, leg room, {n} films, no [bread|noise]",
            "emergency services day at {spot} {soon}, kids slide down the [pole|mast], free",
        ),
    ),
}

KEYWORD_FRAMES: dict[str, Frames] = {
    **FLAMES,
    **WATER,
    **WEATHER,
    **GROUND,
    **IMPACT,
    **PEOPLE,
    **ALARM,
}

# Shared by the keywords of the slot "event", so that the same skeleton meets many keywords.
EVENT_FRAMES = Frames(
    literal=(
        "the {event} in {place} has [closed|cut off] {road}, [school|work|the match] is off",
        "{who} lost [the van|their shop|two allotments] to the {event} {when}",
        "{spot} is taking in families after the {event}, bring [nappies|chargers|board games]",
        "bless the [teachers|bus drivers|students] who got people out of {spot} in the {event}",
        "no [exam|match|gig|wedding] {soon}, the {event} has left {spot} unusable",
        "council says the {event} near {place} left {n} [homes|shops|streets] without power",
        "still no word from {who} since the {event} hit {place} {when}",
        "{n} from our [choir|office|class] are sleeping at {spot} because of the {event}",
        "insurance man finally here, {n} days after the {event} took our [porch|shed|kitchen]",
        "my [film|history|game design] class is cancelled, {event} on {road}, helicopters overhead",
        (
            "was [reading|gaming|watching a film] when the {event} hit, now at {spot} with "
            "[one bag|the cat]"
        ),
        "pics of the {event} don't show how bad {road} is, please [stay away|check on your nan]",
        "got a [sofa|spare room|van]? the {event} put {n} families out near {spot}",
        "worst {event} in {place} since {year}, {n} hurt, [my street|the museum] gone",
        "{who} plays [bass|chess] and drives an ambulance, was first at the {event} in {place}",
        "book launch at {spot} is off, {event} {when}, author [hurt|missing]",
    ),
    other=(
        "[history|geography] homework: {n} facts on the {event} of {year}, no power to do it",
        "the {event} level in this game is [brutal|gorgeous], lost {n} families and {who}",
        "new show on the {year} {event} at {spot} {soon}, [families|schools] go free",
        "chapter {n}, the {event} finally hits {place} and [nobody|just the cat] gets out",
        "is your [home|shop|van] covered for {event} damage? [free quote|chat to us] at {spot}",
        "pretend {event} at {spot} {soon}, volunteers wanted to play [the hurt|lost families]",
        "my [toddler|puppy] is a one-man {event}, {spot} will never be the same, bless",
        "{who} has a band called {event} {place}, first gig at {spot} {soon}",
        "that {event} film {when}, the [dad|dog] going back in, no word since, in bits",
        "{who} hit the [office|kitchen] like the {event} of the century, not a biscuit left",
        "the kids built a lego {place} so they can do a pretend {event} on it, {n} homes gone",
        "scale of 1 to {event}, how bad is my [fringe|parking|cooking], {who} says {n}",
        "{event} podcast has ruined [sleep|hiking|cooking], episode {n} is {place} in {year}",
        "for sale: [poster|dvd] of that {event} movie from {year}, bit hurt, collect at {spot}",
        "dreamt of a[n odd| silly] {event} on {road}, helicopters, the council, {who} in a tutu",
        "{n} weeks since the wedding and {who} still calls it the {event}, [cake|aunts] everywhere",
    ),
)


class Settings(NamedTuple):
    """Phrases put round a literal frame that confirm it as real or turn it into a pretence."""

    real: tuple[str, ...]
    pretend: tuple[str, ...]


# The same report is real or not by what is said about it. Both sides share their words (drill,
# film, novel, game, rumour ...), so that only the way they are combined settles the label.
SETTINGS = Settings(
    real=(
        "this is not [a|the] drill: {core}",
        "not a film, [this is my actual street|I am looking at it]: {core}",
        "[I wish this was|woke up from] a dream, to this: {core}",
        "thought it was [a rumour|made up], it was not: {core}",
        "had to put down my novel at page {n}, {core}",
        "paused the game on level {n}, [look outside|turn on the news]: {core}",
        "{core}. the museum is closing [early|at once] for the crews",
        "quiz night is off after {n} questions, {core}",
        "turned off the film, it is on the [real|local] news: {core}",
        "rehearsal for the play stopped, [everyone is crying|we ran]: {core}",
        "exam hall cleared at question {n}, {core}",
        "you could not write this as an episode: {core}",
        "sounds like a [plot|podcast] and it is happening here: {core}",
        "people say it is a stunt. it [isn't|is not one]: {core}",
        "{n} years of training exercises and now the real one: {core}",
        "not fake, [I was there|I have just come from there]: {core}",
        "official: the rumour is true, {core}",
        "no prank, {who} saw it [happen|too]: {core}",
        "history [is happening again|repeats], {place} today: {core}",
        "that was no nightmare, the alarm was real: {core}",
        "book club broke up after {n} pages, {core}",
        "I thought {who} was acting, then I looked: {core}",
        "I make games for a living and now I live in one: {core}",
        "worse than any film with a plot like it: {core}",
        "the lego scene can wait, kids, {core}",
        "drama class let out, no improv needed: {core}",
        "{place} diary, today, sadly all true: {core}",
        "radio play cut off for this at {n} past: {core}",
        "our tour guide stopped the ghost story and ran: {core}",
        "they told us it was a test message. [wrong|it was not]: {core}",
        "my script can wait, draft {n} is nothing next to this: {core}",
        "not an april fool, [checked with|confirmed by] the local paper: {core}",
        "{core}. not a drill",
        "{core}. this is no film set, [keep away|we live here]",
        "{core}. no it is not a hoax",
        "{core}. I only wish I had dreamt it",
        "{core}. not in a game, out of my window",
        "{core}. was {n} pages from the end of my novel [in the bath|in bed] when I heard",
        "{core}, the episode of {n} years ago has nothing on it",
        "{core}. staff: this is no test, do not ignore it",
        "{core}. and we did the card for this at training {when}",
        "{who} rang, [shaking|in tears], not joking: {core}",
        "my essay on {year} felt old today: {core}",
        "tabletop night over, [real dice now|we are all out helping]: {core}",
        "{core}. the song I wrote about {year} came true",
        "advert break over, back to what is going on here: {core}",
    ),
    pretend=(
        "drill script for {soon}: {core}",
        "not real, this is [a|the] drill: {core}",
        "chapter {n} of my novel: {core}",
        "[I had this|woke up from this] dream {when}: {core}",
        "a rumour, it was [not true|made up]: {core}",
        "level {n} of the game, [look|I am stuck]: {core}",
        "museum audio, room {n}, the story of {year}: {core}",
        "quiz night question {n}, which film is it, {core}",
        "the film on now in one [real|short] line: {core}",
        "rehearsal for the play {soon}, [everyone is crying|we run on]: {core}",
        "exam question {n}, explain, {core}",
        "here is how I would write the episode: {core}",
        "the plot of my [new|next] podcast: {core}",
        "it is a stunt, people, [we are on set|for the cameras]: {core}",
        "training exercise {n} for actors: {core}",
        "fake, I was there and [it was a calm day|had a nice lunch]: {core}",
        "official: the rumour is not true, ignore it, {core}",
        "a prank by {who}, [all is well|I fell for it]: {core}",
        "history [class|project], {place} in {year}: {core}",
        "my nightmare again, then the alarm went: {core}",
        "book club pick, {n} pages, opens with this: {core}",
        "{who} was acting this out at charades, I looked away: {core}",
        "I make games and this is my new card: {core}",
        "worst film I have seen, here is the plot: {core}",
        "the lego scene my kids built today, {core}",
        "drama class improv needed this from us: {core}",
        "grandad's diary, {place}, {year}: {core}",
        "radio play {soon} at {n} past, the blurb: {core}",
        "our tour guide does this ghost story of {year}: {core}",
        "that was [a test message|the test], told you so: {core}",
        "my script, draft {n}, it opens on this: {core}",
        "an april fool, [nice one from|well done] the local paper: {core}",
        "{core}. it is a drill, I checked",
        "{core}. this is a film set, [keep away from the cameras|we live for this]",
        "{core}. it is a hoax, no really",
        "{core}. and I only dreamt it",
        "{core}. in a game, not out of my window",
        "{core}. page {n} of the novel I am reading [in the bath|in bed]",
        "{core}, and the episode ends there, {n} more to go",
        "{core}. staff: that is the test, do ignore it",
        "{core}. that was my card at training {when}, we act it out",
        "{who} rang, [giggling|in a voice], joking as ever: {core}",
        "my essay on the {year} one, first line: {core}",
        "tabletop night {soon}, [roll the dice|I run the town], it starts: {core}",
        "{core}. a line from the song I wrote about {year}",
        "advert for home cover, so over the top: {core}",
    ),
)

# fmt: off
# How one tweet tells two things; the second or the first of them may be the real event.
JOINS = (
    "{a}. also {b}", "{a}... meanwhile {b}", "{a}, and in other news {b}", "{a} / {b}",
    "1) {a} 2) {b}", "earlier: {a}. now: {b}", "{a}. then {b}", "{a}. on top of that {b}",
    "{a} - next thing, {b}", "{a}. oh and {b}", "{a}, plus {b}", "my day: {a}. {b}",
)

LITERAL, OTHER = 1, 0

# Said after or before both kinds of tweets; none of them settles whether the event is real.
OPENERS = (
    "omg", "ok so", "so", "wow", "BREAKING:", "UPDATE:", "ugh", "right", "just in:", "well", "guys",
    "honestly", "no words,", "on my way home,", "from {place}:", "fyi", "heads up,", "hey",
    "can't believe this,", "oh no,", "PSA:", "thread:", "everyone,", "{place} today:", "mate,",
    "cannot stop thinking about this:", "hearing that", "listen,", "alert:", "latest:", "oh my,",
)
CLOSERS = (
    "stay safe out there", "what a day", "never a dull moment", "i can't even", "smh", "unreal",
    "this town i swear", "long day", "typical monday", "thoughts with you all", "more soon",
    "speechless", "praying", "please share", "pls rt", "send help", "thank god for neighbours",
    "who else saw it?", "has anyone heard more?", "tell me about it", "need a hug", "wild",
    "2 days running", "what is going on", "still can't believe it", "life comes at you fast",
    "be kind today", "anyone else?", "and it's only {hour} am", "so much for a quiet week", "crazy",
    "never seen anything like it", "so grateful for {who}", "call your mum", "hug your kids",
    "{who} was there too", "video later", "full story on the blog", "pic by {who}", "what next",
    "{place} is on another level", "more at {hour}", "told you", "good luck all", "god help us",
)
TAGS = (
    "#{tag}", "#news", "#{tag} #news", "#fail", "#help", "#life", "#monday", "#wow", "#mood",
    "#{tag}life", "#omg", "#staysafe", "#weekend", "#breaking", "#weather", "#nofilter", "#pray",
)
HANDLES = (
    "@{tag}live", "@ms_pebble", "@radio{tag}", "@tin_kettle", "@daily{tag}", "@kojo_makes",
    "@northpier7", "@{tag}traffic", "@quietowl22", "@mapleandrye", "@the{tag}post", "@zed_on_bass",
)
USER_LOCATIONS = (
    "London", "UK", "USA", "somewhere", "the moon", "New York", "your mum's house", "Earth",
    "he/him", "she/her", "Worldwide", "Manchester", "Texas", "California, USA", "Lagos, Nigeria",
    "planet earth", "India", "Sydney", "here and there", "in bed", "Pacific NW", "Mumbai",
)

# Both spellings mean the same, so that a bag of words cannot lean on one of them.
SHORTHAND = {
    "you": "u", "your": "ur", "are": "r", "please": "pls", "because": "bc", "people": "ppl",
    "and": "&", "with": "w/", "tonight": "2nite", "tomorrow": "tmrw", "someone": "some1",
    "minutes": "mins", "before": "b4", "for": "4", "everyone": "every1", "about": "abt",
}
ELONGATED = {
    "so": "sooo", "no": "nooo", "wow": "wowww", "omg": "omgggg", "bad": "baaad", "all": "alllll",
    "oh": "ohhh", "huge": "huuuge", "ugh": "ughhh", "what": "whaaat", "please": "pleeease",
    "still": "stilllll", "gone": "gooone", "help": "heeelp", "never": "neverrr", "mate": "maaate",
}
# fmt: on

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
# Rows of one frame on its own, of one setting, and of two frames in one tweet. With these a frame
# is seen a few times in either class, so that remembering its words does not give the label.
PLAIN_LITERAL_ROWS = 2.7
PLAIN_OTHER_ROWS = 2.6
ROWS_PER_SETTING = 6
JOINED_ROWS_PER_CLASS = 180
LEANS = (-5, -4, -3, 3, 4, 5)
LONGEST_TEXT = 180
LONGEST_CORE = 165
LONGEST_DRESSED = 125
ATTEMPTS_PER_ROW = 40


def fill(frame: str, rng: random.Random, event: str | None = None) -> str:
    """Resolve the choices and slots of a frame; ``event`` pins the slot of that name."""
    while match := CHOICE.search(frame):
        picked = rng.choice(match.group(1).split("|"))
        frame = frame[: match.start()] + picked + frame[match.end() :]
    tag = rng.choice(PLACES).lower().replace(" ", "")

    def draw(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "tag":
            return tag
        if name == "event" and event is not None:
            return event
        return rng.choice(SLOTS[name])

    return SLOT.sub(draw, frame)


def dress(core: str, rng: random.Random) -> str:
    """Put chatter, tags, handles and links round a text, with odds that ignore its label."""
    text = core
    if rng.random() < 0.35:
        text = f"{fill(rng.choice(OPENERS), rng)} {text}"
    text += rng.choice(("", "", ".", "!", "!!", "...", " -"))
    if rng.random() < 0.45:
        text += f" {fill(rng.choice(CLOSERS), rng)}{rng.choice(('', '', '.', '!', '?!'))}"
    if rng.random() < 0.22:
        text += f" {fill(rng.choice(TAGS), rng)}"
    if rng.random() < 0.14:
        handle = fill(rng.choice(HANDLES), rng)
        text = rng.choice((f"{handle} {text}", f"{text} {handle}", f"RT {handle}: {text}"))
    if rng.random() < 0.25:
        code = "".join(rng.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=8))
        text += f" http://t.co/{code}"
    return text


def misspell(word: str, rng: random.Random) -> str:
    """Swap, drop or double one inner letter of a word."""
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


def swap_words(text: str, table: dict[str, str], odds: float, rng: random.Random) -> str:
    """Replace whole words found in a table, each with the given odds."""

    def swap(match: re.Match[str]) -> str:
        other = table.get(match.group().lower())
        return other if other is not None and rng.random() < odds else match.group()

    return re.sub(r"(?<![@#/\w])[A-Za-z]+(?![\w/])", swap, text)


def roughen(text: str, rng: random.Random) -> str:
    """Type a text as people do: case, shorthand, long vowels, slips; never looks at the label."""
    if rng.random() < 0.15:
        text = swap_words(text, SHORTHAND, 0.7, rng)
    if rng.random() < 0.2:
        text = swap_words(text, ELONGATED, 0.5, rng)
    words = text.split(" ")
    for position, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 0.02:
            words[position] = misspell(word, rng)
        elif word.isalpha() and len(word) > 3 and rng.random() < 0.015:
            words[position] = word.upper()
    text = " ".join(words)
    style = rng.random()
    if style < 0.40:
        text = text[0].upper() + text[1:]
    elif style < 0.60 and "http" not in text:
        text = text.lower()
    if rng.random() < 0.2:
        text = text.replace("'", "")
    return text


class Source(NamedTuple):
    """One frame with its name, its sense and the keywords it may be filled for."""

    name: str
    frame: str
    sense: int
    keywords: tuple[str, ...]


class Job(NamedTuple):
    """One row to make: a pattern, the frames that fill its slots, and the label of the whole."""

    pattern: str
    parts: dict[str, Source]
    target: int
    name: str


def sources() -> list[Source]:
    """List every frame once, in the order of the data."""
    found = []
    groups = [(keyword, (keyword,), frames) for keyword, frames in KEYWORD_FRAMES.items()]
    groups.append(("event", SLOTS["event"], EVENT_FRAMES))
    for name, keywords, frames in groups:
        for sense, texts in ((LITERAL, frames.literal), (OTHER, frames.other)):
            for number, frame in enumerate(texts):
                found.append(Source(f"{name}/{sense}/{number}", frame, sense, keywords))
    return found


def cycle(members: list[Source], count: int, rng: random.Random) -> list[Source]:
    """Draw ``count`` frames so that all are used about equally often."""
    drawn: list[Source] = []
    while len(drawn) < count:
        drawn += rng.sample(members, len(members))
    return drawn[:count]


def plain_jobs(rng: random.Random) -> list[Job]:
    """Plan the rows that are one frame and nothing else; keywords lean a little to one class."""
    grouped: dict[str, dict[int, list[Source]]] = {}
    for source in sources():
        group = source.name.split("/")[0]
        grouped.setdefault(group, {LITERAL: [], OTHER: []})[source.sense].append(source)
    jobs = []
    for group, senses in grouped.items():
        lean = 0 if group == "event" else rng.choice(LEANS)
        for sense, members in senses.items():
            per_frame = PLAIN_LITERAL_ROWS if sense == LITERAL else PLAIN_OTHER_ROWS
            count = round(len(members) * per_frame) + (lean if sense == LITERAL else -lean)
            jobs += [Job("{core}", {"core": s}, sense, "") for s in cycle(members, count, rng)]
    return jobs


def framed_jobs(rng: random.Random) -> list[Job]:
    """Plan the rows where a setting makes a literal frame real or a pretence."""
    literal = [source for source in sources() if source.sense == LITERAL]
    jobs = []
    for target, patterns in ((LITERAL, SETTINGS.real), (OTHER, SETTINGS.pretend)):
        cores = iter(cycle(literal, len(patterns) * ROWS_PER_SETTING, rng))
        for number, pattern in enumerate(patterns):
            name = f"setting/{target}/{number}"
            jobs += [
                Job(pattern, {"core": next(cores)}, target, name) for _ in range(ROWS_PER_SETTING)
            ]
    return jobs


def joined_jobs(rng: random.Random) -> list[Job]:
    """Plan the rows that tell two things, the label being real when either of them is."""
    by_sense = {
        sense: [source for source in sources() if source.sense == sense]
        for sense in (LITERAL, OTHER)
    }
    jobs = []
    for target in (LITERAL, OTHER):
        firsts = cycle(by_sense[OTHER], JOINED_ROWS_PER_CLASS, rng)
        seconds = cycle(by_sense[target], JOINED_ROWS_PER_CLASS, rng)
        for pair in zip(firsts, seconds, strict=True):
            first, second = rng.sample(pair, 2)
            jobs.append(Job(rng.choice(JOINS), {"a": first, "b": second}, target, ""))
    return jobs


def user_location(rng: random.Random) -> str:
    """Make the free-text home of a user, empty for about a third as in the original."""
    if rng.random() < 0.33:
        return ""
    if rng.random() < 0.5:
        return rng.choice(USER_LOCATIONS)
    return rng.choice(PLACES) + rng.choice(("", "", ", UK", ", USA", " ", " - worldwide"))


def compose(job: Job, rng: random.Random) -> tuple[str, str]:
    """Return one filling of a job and the keyword it is filed under."""
    text = job.pattern
    keywords = []
    for slot, source in job.parts.items():
        keyword = rng.choice(source.keywords)
        keywords.append(keyword)
        text = text.replace("{" + slot + "}", fill(source.frame, rng, keyword))
    return fill(text, rng), rng.choice(keywords)


def row_of(job: Job, seen: set[str], rng: random.Random) -> Row | None:
    """Make the row of one job with a text that does not occur yet, or none after many tries."""
    for _ in range(ATTEMPTS_PER_ROW):
        core, keyword = compose(job, rng)
        if len(core) > LONGEST_CORE or core.lower() in seen:
            continue
        # A long text gets no chatter, which keeps the lengths within those of a tweet.
        text = roughen(dress(core, rng) if len(core) < LONGEST_DRESSED else core, rng)
        if len(text) > LONGEST_TEXT or text.lower() in seen:
            continue
        seen.update((core.lower(), text.lower()))
        shown = "" if rng.random() < 0.015 else keyword
        frames = tuple(source.name for source in job.parts.values())
        return Row(shown, user_location(rng), text, job.target, (job.name, *frames))
    return None


def generate(seed: int) -> list[Row]:
    """Make all rows of the set in a shuffled order."""
    rng = random.Random(seed)
    seen: set[str] = set()
    jobs = plain_jobs(rng) + framed_jobs(rng) + joined_jobs(rng)
    rng.shuffle(jobs)
    rows = [row_of(job, seen, rng) for job in jobs]
    return [row for row in rows if row is not None]


def write(rows: list[Row], output: Path, seed: int) -> None:
    """Write the rows as CSV; the ids grow with gaps, as they do in the original."""
    rng = random.Random(seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("id", "keyword", "location", "text", "target"))
        number = 0
        for row in rows:
            number += rng.choice((1, 1, 1, 2, 3))
            writer.writerow((number, row.keyword, row.location, row.text, row.target))


def main() -> None:
    """Run the generator from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("hwlit/assets/tweets.csv"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = generate(options.seed)
    write(rows, options.output, options.seed)
    positive = sum(row.target for row in rows)
    print(f"{len(rows)} rows, {positive} of them about real disasters, in {options.output}")


if __name__ == "__main__":
    main()
